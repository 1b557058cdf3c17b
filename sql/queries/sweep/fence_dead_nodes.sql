-- Takes nodes without a beat, and their lanes, out of service; returns the lanes. Node $1 sweeps. It declares another
-- node dead only if its own beats came without a gap for as long as that node's time to live: after a standstill of
-- the database every node looks dead. Also takes every lane out of service whose node is gone or missing.
-- Called by: store/sweep.rs. Locks: nodes (skip locked), then their lanes. Index: none; both tables are small.
with dead as materialized (
    select n.id
    from amends.node n
    where n.gone_at is null and n.id <> $1::bigint and n.beat_at < amends.now() - n.ttl_ms * interval '1 ms'
      and exists (
          select from amends.node me
          where me.id = $1::bigint and me.gone_at is null
            and me.beat_at >= amends.now() - me.ttl_ms * interval '1 ms'
            and me.steady_since < amends.now() - n.ttl_ms * interval '1 ms')
    order by n.id
    for update of n skip locked
), fenced as (
    update amends.node n set gone_at = amends.now() from dead d where n.id = d.id
), hear_no_more as (
    delete from amends.listener h using dead d where h.node = d.id
)
update amends.lane l set live = false
where l.live
  and (l.node in (select d.id from dead d)
       or not exists (select from amends.node n where n.id = l.node and n.gone_at is null))
returning l.id
