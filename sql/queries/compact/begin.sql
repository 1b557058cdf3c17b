-- Begins a compaction, unless another is under way. Returns what identifies its transaction.
-- Called by: store/compact.rs. Locks: an advisory one. Index: none.
select a.pid, a.backend_start::text, a.xact_start::text
from pg_stat_activity a
where a.pid = pg_backend_pid() and pg_try_advisory_xact_lock(4702111234474983748)
