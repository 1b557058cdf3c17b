-- Reads how full of dead rows the tables $1 are, and how often they were vacuumed.
-- Called by: store/compact.rs. Locks: none. Index: none.
select s.relname as name, s.n_live_tup as live, s.n_dead_tup as dead, s.vacuum_count + s.autovacuum_count as vacuums
from pg_stat_user_tables s
where s.schemaname = 'amends' and s.relname = any($1::text[])
