-- Records the decision on rerun $1, unless there is one: $2 applied or refused, $3 the reason of a refusal.
-- Called by: store/rerun.rs. Locks: the rerun. Index: rerun_pkey.
update amends.rerun r set fate = $2::text, answer = $3::text where r.n = $1::bigint and r.fate is null
