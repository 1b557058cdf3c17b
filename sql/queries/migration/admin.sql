-- Reads which revision of the views, functions and roles is in force.
-- Called by: store/migrate.rs. Locks: none. Index: none; one row.
select a.revision, a.checksum from amends.admin a
