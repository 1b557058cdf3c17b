-- What operators hold back, and what is let go of.

-- Signals to the fleet instead of to one saga: definitions that no node shall take up, nodes that shall take no more sagas, and
-- the end of both. Kept, with who asked and why. A table of its own, so that whoever asks in a long transaction keeps no node
-- from its beat.
create table amends.fleet_signal (
    n                 bigint generated always as identity primary key,
    -- pause_definition, resume_definition, drain_node or undrain_node
    verb              text        not null,
    definition        text,
    node              bigint,
    at                timestamptz not null,
    by                text        not null,
    application_name  text        not null,
    addr              inet,
    reason            text        not null,
    -- The signal that ended this pause or drain; null: it holds.
    lifted_by         bigint,
    check (num_nonnulls(definition, node) = 1)
);
create unique index fleet_signal_paused on amends.fleet_signal (definition)
    where verb = 'pause_definition' and lifted_by is null;
create unique index fleet_signal_drained on amends.fleet_signal (node) where verb = 'drain_node' and lifted_by is null;

-- Old keys are found by their time; they were written in its order.
create index start_key_at on amends.start_key using brin (at);

-- Sagas that shall be taken from a lane, until they are. The lane lets go of them by itself; if it does not, its node counts
-- for dead.
create table amends.eviction (
    id    uuid        primary key,
    lane  bigint      not null,
    at    timestamptz not null
);

-- Since when the beats of a node count for nothing: it did not let go of a saga. And whether its last beat was told to hand
-- over what it has.
alter table amends.node add column disowned_at timestamptz, add column draining boolean not null default false;

-- New sagas that shall go on from a step of one that has ended: asked here, decided by a node by the law of the core, and
-- begun by the journal's first row of `rerun`, which can be written once.
create table amends.rerun (
    n                 bigint generated always as identity primary key,
    id                uuid        not null,
    step              text        not null,
    rerun             uuid        not null,
    definition        int         not null,
    at                timestamptz not null,
    by                text        not null,
    application_name  text        not null,
    addr              inet,
    reason            text        not null,
    -- Some node looks at it; others do from then on.
    due_at            timestamptz not null,
    -- Which one was the last, and how many were gone when the next one looked: perhaps they died of it.
    node              bigint,
    deaths            smallint    not null default 0,
    -- applied or refused, once a node has decided
    fate              text,
    answer            text
);
-- What was taken over is nobody else's to take over.
create unique index rerun_once on amends.rerun (id) where fate is distinct from 'refused';
create index rerun_open on amends.rerun (due_at) where fate is null;
create index rerun_rerun on amends.rerun (rerun);
