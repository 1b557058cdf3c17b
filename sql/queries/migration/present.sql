-- Whether this database was ever migrated.
-- Called by: store/migrate.rs. Locks: none. Index: none.
select to_regclass('amends.migration') is not null as present
