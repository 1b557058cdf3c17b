-- Tells node $1 to take no more sagas and to hand over those that it has, for reason $2; false when it was told already.
-- Called by: store/operate.rs. Locks: none. Index: node_drain_held.
select amends.drain_node($1::bigint, $2::text) as done
