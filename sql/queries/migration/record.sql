-- Records migration $1 with name $2 and checksum $3.
-- Called by: store/migrate.rs, under the lock. Locks: none. Index: migration_pkey.
insert into amends.migration (version, name, checksum) values ($1::int, $2::text, $3::text)
