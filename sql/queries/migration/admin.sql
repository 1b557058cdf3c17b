-- Which views, functions and roles are in force.
-- Called by: store/migrate.rs. Locks: none. Index: none; one row.
select a.revision, a.checksum from amends.admin a
