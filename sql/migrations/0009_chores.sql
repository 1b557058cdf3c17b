-- Chores of the fleet: work that one node does for all nodes. A lease only saves work: what is right never depends on it, and
-- any node may do any chore at any time.
create table amends.chore (
    name   text        primary key,
    -- The node that does it; from `until` on, any node may take it.
    node   bigint      not null,
    until  timestamptz not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);

-- Most connections that the node opens: its lanes, its pool, and handlers' transactions. 0: a node of an older version.
alter table amends.node add column connections int not null default 0;
