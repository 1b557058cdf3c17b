-- Returns whether everybody may call a function of amends, and this session's user may change that. A restore without
-- the roles leaves it so: a revoke that stands in one command with the grant to a missing role fails with it.
-- Called by: store/migrate.rs. Locks: none. Index: none; reads the functions of one schema.
select exists (
    select from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace and n.nspname = 'amends'
    cross join lateral pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
    where a.grantee = 0 and pg_catalog.pg_has_role(p.proowner, 'usage')
) as open_to_all
