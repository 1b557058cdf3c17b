-- Returns the timeline that the server writes. Another timeline means that a standby was promoted, and that
-- acknowledged rows may be gone.
-- Called by: store/lane.rs, with each connection. Locks: none. Index: none.
select left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) as timeline
