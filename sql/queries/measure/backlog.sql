-- Measures what waits for a node, by name of the definition. Counts at most $1 ready rows and $1
-- starts in the queue of each version.
-- Called by: store/measure.rs. Locks: none. Index: ready_pkey, start_queue_order.
select d.name, sum(r.ready)::bigint as ready,
       coalesce(max(extract(epoch from amends.now() - r.at)), 0)::float8 as oldest_s
from amends.definition d
cross join lateral (
    select count(*) as ready, min(c.at) as at
    from (select r.at from amends.ready r where r.definition = d.id order by r.n limit $1::bigint) c
    union all
    select count(*), min(c.at)
    from (select s.at from amends.start_queue s where s.definition = d.id and s.n > 0 order by s.n limit $1::bigint) c
) r
group by d.name
