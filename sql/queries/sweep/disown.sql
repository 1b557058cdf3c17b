-- Disowns nodes that still hold a saga $1 ms after they were told to release it. Their beats no longer count, as if
-- they had died: their lease ends, then a sweep takes them out of service, and only then may other nodes take their
-- sagas. So the guards against dead nodes suffice.
-- Called by: store/sweep.rs. Locks: nodes. Index: saga_pkey, lane_pkey; the table of evictions is small.
update amends.node n set disowned_at = amends.now()
where n.gone_at is null and n.disowned_at is null
  and n.id = any (array (
      select l.node
      from amends.eviction e
      cross join lateral (
          select l.node from amends.lane l
          where l.id = e.lane and l.live and (select g.lane from amends.saga g where g.id = e.id) = e.lane
          limit 1
      ) l
      where e.at < amends.now() - $1::bigint * interval '1 ms'))
returning n.id
