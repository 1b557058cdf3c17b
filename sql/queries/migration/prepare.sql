-- Creates the schema and the table of applied migrations.
-- Called by: store/migrate.rs, under the lock. Locks: none. Index: none.
create schema if not exists amends;
create table if not exists amends.migration (
    version     int primary key,
    name        text        not null,
    checksum    text        not null,
    applied_at  timestamptz not null default now()
)
