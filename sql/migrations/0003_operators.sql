-- What operators see without reading journals: what needs attention, since when something is ready, what nodes hold, how
-- many sagas there are and how many pass.

-- The steps in doubt or stuck, with evidence and legal verbs, as JSON; written by the core together with the status.
alter table amends.saga add column attention text;
create index saga_attention on amends.saga (id) where attention is not null;

-- Whoever asks for sagas that still run need not look at those that have ended.
alter table amends.saga_done
    add constraint saga_done_status check (status in ('completed', 'compensated', 'abandoned'));

alter table amends.ready add column at timestamptz not null default amends.now();

-- What the node said with its last beat: sagas that are on it, and the schema that it was built for.
alter table amends.node add column sagas int not null default 0, add column schema_version int;

-- Live sagas by definition and status, as of the last census: some node counts about once a minute, so that nobody who
-- looks has to.
create table amends.census (
    definition  int         not null,
    status      text        not null,
    sagas       bigint      not null,
    at          timestamptz not null,
    primary key (definition, status)
);

-- How many sagas began and ended: each node appends what it has seen since its last row. Append-only, a day is kept.
create table amends.passage (
    minute       timestamptz not null,
    definition   int         not null,
    node         bigint      not null,
    started      bigint      not null,
    completed    bigint      not null,
    compensated  bigint      not null,
    abandoned    bigint      not null,
    stuck        bigint      not null
);
create index passage_minute on amends.passage (minute);

-- Which text of sql/admin is in force; a node that was built for an older one leaves it alone.
create table amends.admin (
    revision    int         not null,
    checksum    text        not null,
    applied_at  timestamptz not null
);
