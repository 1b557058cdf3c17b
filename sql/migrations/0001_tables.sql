-- The tables. Every key of a saga's rows leads with its id (UUIDv7: time-ordered, so inserts stay at the right edge), there
-- are no foreign keys, and nothing that is scanned by a claim carries a state column: what is ready is a row in `ready`.
-- The columns of the tables that every saga is written to stand in an order that needs no padding.
--
-- A saga that has not ended always has at least one of: a lane (some node runs it), a row in `ready` (any node may take
-- it), a row in `timer` (it is parked; fire_at is infinity when only a signal can wake it, or when it waits for its turn).

-- Definitions by digest; the small id goes into the narrow rows.
create table amends.definition (
    id          int generated always as identity primary key,
    digest      text        not null unique,
    name        text        not null,
    draft       text        not null,
    -- Where in the input its concurrency key stands; null when its sagas wait for no others.
    concurrency text[],
    created_at  timestamptz not null default now()
);

-- Which definition a start by name takes: the one that was registered last.
create table amends.current_definition (
    name        text primary key,
    definition  int not null
);

-- One row per process incarnation; never used again. `beat_at` has its own table so that a batch does not touch it.
create table amends.node (
    id            bigint generated always as identity primary key,
    name          text        not null,
    version       text        not null,
    ttl_ms        bigint      not null,
    joined_at     timestamptz not null,
    beat_at       timestamptz not null,
    -- Since when its beats came without a gap; a node that was cut off itself calls nobody dead.
    steady_since  timestamptz not null,
    gone_at       timestamptz
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- One row per committing connection. Its id is the fencing token: a dead lane never lives again.
create table amends.lane (
    id    bigint generated always as identity primary key,
    node  bigint  not null,
    live  boolean not null default true
) with (fillfactor = 50);

-- Sagas that have not ended: narrow, touched at start, claim, change of status, signal, park and end.
create table amends.saga (
    id          uuid primary key,
    lane        bigint,
    signals     bigint      not null default 0,
    started_at  timestamptz not null,
    definition  int         not null,
    -- How many processes in a row died when they had it and had written no row of it: perhaps it kills whoever reads it.
    deaths      smallint    not null default 0,
    -- Its lane reads it alone, because of that. When it has none: one more died, and it is put aside until it is told to resume.
    tried       boolean     not null default false,
    -- queued, running, compensating, paused, stuck
    status      text        not null
) with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0);
create index saga_lane on amends.saga (lane) where lane is not null;
create index saga_halted on amends.saga (status, id) where status in ('paused', 'stuck');

-- Ended sagas, by day of ending; retention is detach and drop.
create table amends.saga_done (
    id          uuid        not null,
    started_at  timestamptz not null,
    ended_at    timestamptz not null,
    signals     bigint      not null,
    definition  int         not null,
    -- completed, compensated, abandoned
    status      text        not null,
    result      text,
    primary key (id, ended_at)
) partition by range (ended_at);

-- What happened, one row per transition. The body is JSON as text: no payload, however odd, can fail the batch it is in,
-- and it is a fifth faster than json. All rows of a saga share a partition.
create table amends.journal (
    id    uuid        not null,
    lane  bigint      not null,
    at    timestamptz not null,
    seq   int         not null,
    kind  text        not null,
    body  text        not null,
    primary key (id, seq)
) partition by range (id);

-- What any node may take. Deleted by the claim. `input` is there until the first claim of a saga that was started by SQL: the
-- input as JSON, and after it what else the first row of the journal says, each with a comma before it.
create table amends.ready (
    definition  int    not null,
    n           bigint generated always as identity,
    id          uuid   not null,
    input       text,
    primary key (definition, n)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- Wakes for sagas that some lane owns.
create table amends.inbox (
    lane        bigint not null,
    n           bigint generated always as identity,
    id          uuid   not null,
    definition  int    not null,
    primary key (lane, n)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- Sagas whose journal no node could read so far: a damaged row, or one of a newer version; and those that were put aside since
-- processes died of reading them. Their status is stuck.
create table amends.unreadable (
    id      uuid primary key,
    at      timestamptz not null,
    node    bigint      not null,
    reason  text        not null
);

-- When a parked saga wakes; one row each.
create table amends.timer (
    id       uuid primary key,
    fire_at  timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
create index timer_fire_at on amends.timer (fire_at);

-- What was asked of a saga, by whom, and what became of it.
create table amends.signal (
    id                uuid        not null,
    n                 bigint      not null,
    at                timestamptz not null,
    -- the session's user, or for whom a node asks
    by                text        not null,
    application_name  text        not null,
    addr              inet,
    request           text        not null,
    -- applied or refused, once the saga has answered
    fate              text,
    answer            text,
    primary key (id, n)
);

-- Events for the outside, relayed at least once. Who relays one says so in `node` and puts `due_at` off, so that nobody else
-- does until then; it is deleted when it was received.
create table amends.outbox (
    n         bigint generated always as identity primary key,
    id        uuid        not null,
    seq       int         not null,
    at        timestamptz not null,
    body      text        not null,
    due_at    timestamptz not null default '-infinity',
    node      bigint,
    attempts  int         not null default 0,
    -- Why the last attempt failed.
    error     text
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
create index outbox_due on amends.outbox (due_at, n);
create index outbox_id on amends.outbox (id);
create index outbox_node on amends.outbox (node) where node is not null;

-- Idempotent starts. By name, not by digest: a key holds across versions of a definition.
create table amends.start_key (
    name    text        not null,
    key     text        not null,
    id      uuid        not null,
    digest  bytea       not null,
    at      timestamptz not null,
    primary key (name, key)
);
-- By which key a saga was started: a door tells its callers' sagas from others' by the beginning of the key.
create index start_key_id on amends.start_key (id);

-- Access tokens of callers over MCP: the public part, the digest of the secret one, and what they may do.
create table amends.access_token (
    id          text primary key,
    name        text        not null,
    digest      bytea       not null,
    scopes      text[]      not null,
    created_at  timestamptz not null,
    expires_at  timestamptz,
    revoked_at  timestamptz
);
