-- Returns whether this database was ever migrated. Reads the catalog tables instead of looking the name up: names are
-- cached, and a starter that has just waited for another would not see what that one created.
-- Called by: store/migrate.rs. Locks: none. Index: pg_class_relname_nsp_index.
select exists (
    select from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'amends' and c.relname = 'migration'
) as present
