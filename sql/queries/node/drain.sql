-- Tells node $1 to take no more sagas and to hand over those that it has, for reason $2; returns the number of the
-- signal.
-- Called by: store/bulk.rs. Locks: none. Index: fleet_signal_drained.
select amends.drain_node($1::bigint, $2::text) as n
