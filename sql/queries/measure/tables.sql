-- Reads the numbers of dead rows of the tables whose rows come and go.
-- Called by: store/measure.rs. Locks: none. Index: none.
select s.relname as name, s.n_dead_tup as dead
from pg_stat_user_tables s
where s.schemaname = 'amends' and s.relname in
    ('saga', 'ready', 'start_queue', 'timer', 'inbox', 'lane', 'node', 'signal', 'outbox')
