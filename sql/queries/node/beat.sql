-- Keeps node $1 alive, with $2 sagas on it, $3 waiting there and $4 a digest of the definitions that it claims, and
-- tells whether it must hand over its sagas. No row: the node was declared dead or disowned. If a beat comes later than
-- the time to live, because the database or this node stood still, the node's steady time begins again. `earlier` and
-- `later`: the peers of the node, $5 at most on each side, by the order in which they joined. A peer claims the same
-- definitions and has lately been heard.
-- Called by: store/node.rs. Locks: the node. Index: node_pkey, node_claims, fleet_signal_drained.
update amends.node n
set beat_at = amends.now(),
    sagas = $2::int,
    waits = $3::text::json,
    claims = $4::bigint,
    draining = exists (select from amends.fleet_signal d
                       where d.node = n.id and d.verb = 'drain_node' and d.lifted_by is null),
    steady_since = case when n.beat_at < amends.now() - n.ttl_ms * interval '1 ms' then amends.now()
                        else n.steady_since end
where n.id = $1::bigint and n.gone_at is null and n.disowned_at is null
returning amends.millis(amends.now()) as at, n.draining,
          (select count(*) from (
               select from amends.node p
               where p.claims = $4::bigint and p.id < n.id and p.gone_at is null and p.disowned_at is null
                 and p.beat_at > amends.now() - interval '3 s'
               limit $5::bigint) e) as earlier,
          (select count(*) from (
               select from amends.node p
               where p.claims = $4::bigint and p.id > n.id and p.gone_at is null and p.disowned_at is null
                 and p.beat_at > amends.now() - interval '3 s'
               limit $5::bigint) l) as later
