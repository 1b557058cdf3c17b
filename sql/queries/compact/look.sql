-- Reads how many live and dead rows the tables $1 have, how often they were vacuumed, and which transactions use them
-- now. Leaves out published tables, since not every subscriber takes a TRUNCATE. Leaves out every table while a
-- replication slot holds back old rows for a standby: the standby would replay nothing until the readers on it have
-- ended.
-- Called by: store/compact.rs. Locks: none. Index: none.
select s.relname as name, s.n_live_tup as live, s.n_dead_tup as dead, s.vacuum_count + s.autovacuum_count as vacuums,
       array (select l.virtualtransaction from pg_locks l
              where l.relation = s.relid and l.granted
                and l.database = (select d.oid from pg_database d where d.datname = current_database())) as users
from pg_stat_user_tables s
where s.schemaname = 'amends' and s.relname = any($1::text[])
  and not exists (select from pg_publication_tables p where p.schemaname = s.schemaname and p.tablename = s.relname)
  and not exists (select from pg_replication_slots r where r.xmin is not null)
