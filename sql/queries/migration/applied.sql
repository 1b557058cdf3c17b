-- Lists the migrations that were applied.
-- Called by: store/migrate.rs. Locks: none. Index: migration_pkey.
select m.version, m.name, m.checksum from amends.migration m order by m.version
