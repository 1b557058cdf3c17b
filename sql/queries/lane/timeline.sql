-- Names the timeline that the server writes: another one means that a standby was promoted, and that what was acknowledged
-- before may be gone.
-- Called by: store/lane.rs, with each connection. Locks: none. Index: none.
select left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) as timeline
