-- Whether this database was ever migrated. Read from the tables, not by name: names are cached, and who has just waited for
-- another starter would not see what that one made.
-- Called by: store/migrate.rs. Locks: none. Index: pg_class_relname_nsp_index.
select exists (
    select from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'amends' and c.relname = 'migration'
) as present
