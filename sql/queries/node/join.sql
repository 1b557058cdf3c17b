-- Registers one incarnation of a process: $1 name, $2 version, $3 time to live without a beat in milliseconds, $4
-- schema version that it was built for, $5 its previous incarnation, $6 the most connections that it opens. If the
-- previous one was draining, the new one drains too.
-- Called by: store/node.rs. Locks: none. Index: fleet_signal_drained.
with joined as (
    insert into amends.node (name, version, ttl_ms, joined_at, beat_at, steady_since, schema_version,
        connections)
    values ($1::text, $2::text, $3::bigint, amends.now(), amends.now(), amends.now(), $4::int, $6::int)
    returning id
), drained as (
    insert into amends.fleet_signal (verb, node, at, by, application_name, addr, reason)
    select d.verb, j.id, d.at, d.by, d.application_name, d.addr, d.reason
    from joined j cross join amends.fleet_signal d
    where d.node = $5::bigint and d.verb = 'drain_node' and d.lifted_by is null
)
select j.id from joined j
