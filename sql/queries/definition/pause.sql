-- Pauses the definitions named $1, for reason $2; returns the number of the signal.
-- Called by: store/bulk.rs. Locks: none. Index: fleet_signal_paused.
select amends.pause_definition($1::text, $2::text) as n
