-- Reads the settings that decide whether a commit survives a crash of the server.
-- Called by: store/durability.rs. Locks: none. Index: none.
select current_setting('fsync') as fsync,
       current_setting('synchronous_commit') as synchronous_commit,
       current_setting('full_page_writes') as full_page_writes
