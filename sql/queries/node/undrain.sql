-- Lets node $1 take sagas again, for reason $2; the number of the signal.
-- Called by: store/bulk.rs. Locks: what is lifted. Index: fleet_signal_drained.
select amends.undrain_node($1::bigint, $2::text) as n
