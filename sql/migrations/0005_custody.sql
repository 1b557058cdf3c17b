-- What operators hold back, and what is let go of.

-- Definitions that an operator has paused: no node takes up a saga of them. Kept after they were resumed.
create table amends.definition_pause (
    n                 bigint generated always as identity primary key,
    name              text        not null,
    at                timestamptz not null,
    by                text        not null,
    application_name  text        not null,
    addr              inet,
    reason            text        not null,
    resumed_at        timestamptz,
    resumed_by        text,
    resume_reason     text
);
create unique index definition_pause_held on amends.definition_pause (name) where resumed_at is null;

-- Old keys are found by their time; they were written in its order.
create index start_key_at on amends.start_key using brin (at);

-- Nodes that an operator has told to take no more sagas and to hand over those that they have; kept after it was undone. A
-- table of its own, so that whoever asks in a long transaction keeps no node from its beat.
create table amends.node_drain (
    n                 bigint generated always as identity primary key,
    node              bigint      not null,
    at                timestamptz not null,
    by                text        not null,
    application_name  text        not null,
    addr              inet,
    reason            text        not null,
    undone_at         timestamptz,
    undone_by         text,
    undo_reason       text
);
create unique index node_drain_held on amends.node_drain (node) where undone_at is null;

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
    -- applied or refused, once a node has decided
    fate              text,
    answer            text
);
-- What was taken over is nobody else's to take over.
create unique index rerun_once on amends.rerun (id) where fate is distinct from 'refused';
create index rerun_open on amends.rerun (due_at) where fate is null;
create index rerun_rerun on amends.rerun (rerun);
