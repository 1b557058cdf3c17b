-- Creates a lane for node $1, unless the node is gone or disowned. The lock keeps a sweep from missing the new lane.
-- Called by: store/lane.rs. Locks: the node. Index: node_pkey.
with owner as materialized (
    select n.id from amends.node n where n.id = $1::bigint and n.gone_at is null and n.disowned_at is null for update
)
insert into amends.lane (node) select o.id from owner o returning id
