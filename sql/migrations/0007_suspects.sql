-- Sagas under suspicion: lone trials convict, not deaths, since processes are killed from outside, too.

-- One row for each saga that is, or is about to be, tried alone on a node; it goes with its acquittal.
create table amends.suspect (
    id         uuid        primary key,
    -- How many processes in a row died while they tried it alone.
    trials     smallint    not null,
    -- When the last death was judged: the pause before the next trial counts from then, and so do the deaths beside it.
    judged_at  timestamptz not null,
    -- The node whose death counted last.
    node       bigint,
    -- The trials are over: the next owner writes into the journal that a call killed its processes.
    convicted  boolean     not null default false
);

-- The node has said that it is about to end: how it ends says nothing of its sagas.
alter table amends.node add column leaving boolean not null default false;

-- What waits on the node before it may begin, the oldest first: calls for a place, sagas for a lone trial. As of the last beat;
-- null: nothing. [{saga, step, direction, for, since: milliseconds of the Unix epoch}]
alter table amends.node add column waits json;
