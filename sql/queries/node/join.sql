-- Registers one incarnation of a process: $1 name, $2 version, $3 time to live without a beat in milliseconds, $4 the
-- version of the schema that it was built for.
-- Called by: store/node.rs. Locks: none. Index: none.
insert into amends.node (name, version, ttl_ms, joined_at, beat_at, steady_since, schema_version)
values ($1::text, $2::text, $3::bigint, amends.now(), amends.now(), amends.now(), $4::int)
returning id
