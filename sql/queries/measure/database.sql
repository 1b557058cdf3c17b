-- Measures the numbers of the database as a whole: lags, and the state of the server.
-- Called by: store/measure.rs. Locks: none. Index: timer_fire_at.
select greatest(coalesce(extract(epoch from amends.now() - (
           select t.fire_at from amends.timer t where t.fire_at < amends.now() order by t.fire_at limit 1)), 0),
               0)::float8
           as timer_lag_s,
       greatest(
           coalesce((select max(age(a.backend_xmin)) from pg_stat_activity a), 0),
           coalesce((select max(age(s.xmin)) from pg_replication_slots s), 0),
           coalesce((select max(age(p.transaction)) from pg_prepared_xacts p), 0))::bigint as oldest_xmin_age,
       pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint as wal_bytes,
       pg_snapshot_xmax(pg_current_snapshot())::text::bigint as transaction_ids,
       coalesce((select max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), s.restart_lsn)) from pg_replication_slots s),
           0)::bigint
           as slot_bytes,
       (select count(*) from pg_class c
        where c.relnamespace = 'amends'::regnamespace and c.relkind = 'r'
          and c.relname ~ '^journal_[0-9]{8}$' and c.relname > 'journal_'
              || to_char(amends.now(), 'YYYYMMDD')) as weeks_ahead,
       (select count(*) from pg_class c
        where c.relnamespace = 'amends'::regnamespace and c.relkind = 'r'
          and c.relname ~ '^saga_done_[0-9]{8}$' and c.relname > 'saga_done_'
              || to_char(amends.now(), 'YYYYMMDD')) as days_ahead
