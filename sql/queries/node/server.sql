-- Reads the server's version and encoding.
-- Called by: store/pool.rs. Locks: none. Index: none.
select current_setting('server_version_num')::int as version, current_setting('server_encoding') as encoding
