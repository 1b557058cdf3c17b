-- Registers one incarnation of a process: $1 name, $2 version, $3 time to live without a beat in milliseconds, $4 the
-- version of the schema that it was built for. One that shall take no more sagas stays so: $5 is its incarnation before.
-- Called by: store/node.rs. Locks: none. Index: node_drain_held.
with joined as (
    insert into amends.node (name, version, ttl_ms, joined_at, beat_at, steady_since, schema_version)
    values ($1::text, $2::text, $3::bigint, amends.now(), amends.now(), amends.now(), $4::int)
    returning id
), drained as (
    insert into amends.node_drain (node, at, by, application_name, addr, reason)
    select j.id, d.at, d.by, d.application_name, d.addr, d.reason
    from joined j cross join amends.node_drain d
    where d.node = $5::bigint and d.undone_at is null
)
select j.id from joined j
