-- Asks for a new saga that goes on from step $2 of saga $1, for reason $3; returns the new saga's id.
-- Called by: store/rerun.rs. Locks: none. Index: saga_pkey, saga_done_pkey, rerun_once.
select amends.rerun_from($1::uuid, $2::text, $3::text) as rerun
