-- Lets node $1 take sagas again, for reason $2; returns the number of the signal.
-- Called by: store/bulk.rs. Locks: the drain that it lifts. Index: fleet_signal_drained.
select amends.undrain_node($1::bigint, $2::text) as n
