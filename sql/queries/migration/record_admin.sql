-- Records that revision $1 of the views, functions and roles, with checksum $2, is in force.
-- Called by: store/migrate.rs, under the lock. Locks: the row. Index: none; one row.
with before as (
    delete from amends.admin
)
insert into amends.admin (revision, checksum, applied_at) values ($1::int, $2::text, amends.now())
