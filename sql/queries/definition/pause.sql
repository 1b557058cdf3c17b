-- Pauses the definitions named $1, for reason $2; whether they were not paused before.
-- Called by: store/operate.rs. Locks: the pause. Index: definition_pause_held.
select amends.pause_definition($1::text, $2::text) as done
