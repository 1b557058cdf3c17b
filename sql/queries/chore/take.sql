-- Takes the chores $2 for node $1 for $3 milliseconds: those that no node does, and those that this node does already.
-- Returns the chores that it has now. Only a node whose beats come in time has chores. A node whose beats came late not
-- long ago declares no node dead, so it leaves the sweep to another node whose beats came without a gap.
-- Called by: store/chore.rs. Locks: the chores, in order. Index: chore_pkey, node_pkey.
insert into amends.chore as c (name, node, until)
select w.name, n.id, amends.now() + $3::bigint * interval '1 ms'
from unnest($2::text[]) w (name)
cross join amends.node n
where n.id = $1::bigint and n.gone_at is null and n.disowned_at is null
  and n.beat_at >= amends.now() - n.ttl_ms * interval '1 ms'
  and (w.name <> 'sweep' or n.steady_since < amends.now() - n.ttl_ms * interval '1 ms'
       or not exists (
           select from amends.node o
           where o.id <> n.id and o.gone_at is null and o.disowned_at is null
             and o.beat_at >= amends.now() - o.ttl_ms * interval '1 ms'
             and o.steady_since < amends.now() - o.ttl_ms * interval '1 ms'))
order by w.name
on conflict (name) do update set node = excluded.node, until = excluded.until
    where c.node = excluded.node or c.until <= amends.now()
returning c.name
