-- Lets the beats of nodes count for nothing that were asked more than $1 milliseconds ago to let go of a saga and still
-- have it. From here on it is as if they had died: their trust in their lease ends, then they are buried, and only then are
-- their sagas anybody's. So no guard is needed but those against the dead.
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
