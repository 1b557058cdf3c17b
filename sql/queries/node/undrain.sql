-- Lets node $1 take sagas again, for reason $2; false when nobody had told it not to.
-- Called by: store/operate.rs. Locks: the drain. Index: node_drain_held.
select amends.undrain_node($1::bigint, $2::text) as done
