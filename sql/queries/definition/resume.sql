-- Resumes the definitions named $1, for reason $2; whether they were paused.
-- Called by: store/operate.rs. Locks: the pause. Index: definition_pause_held.
select amends.resume_definition($1::text, $2::text) as done
