-- Reads the decision on the rerun with the new saga's id $1.
-- Called by: store/rerun.rs. Locks: none. Index: rerun_rerun.
select r.fate, r.answer from amends.rerun r where r.rerun = $1::uuid
