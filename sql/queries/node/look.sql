-- Tells a node whether there is something to do for its lanes $1. Returns how many ready rows of the definitions $2
-- have numbers between their watermarks $3 and $6, $4 at most; how many starts of the definitions $8 in the queue have
-- numbers above their watermarks $9, $4 at most; which lanes have wakes in their inbox; which lanes are
-- out of service; whether reruns of these definitions are due; which of the chores $5 of the fleet have no node; for
-- the node with the chores $7, `timers` or `turns`, whether a timer is due and whether a start knocks; and the last
-- definition and the last order of an operator, by which the node notices new ones.
--
-- Reads only, so a look that finds nothing writes nothing and takes no transaction id. What it finds is a hint: a lane
-- claims by the fenced statement, and learns by it that it is out of service.
-- Called by: store/look.rs. Locks: none.
-- Index: ready_pkey, start_queue_order, inbox_pkey, lane_pkey, rerun_open, chore_pkey, timer_fire_at, knock_pkey,
-- fleet_signal_pkey.
select (
           select count(*)
           from (
               select from unnest($2::int[], $3::bigint[], $6::bigint[]) as d (definition, low, high)
               cross join lateral (
                   select from amends.ready r
                   where r.definition = d.definition and r.n > d.low and r.n < d.high
                   order by r.n
                   limit $4::bigint
               ) r
               limit $4::bigint
           ) c
       ) as ready,
       (
           select count(*)
           from (
               select from unnest($8::int[], $9::bigint[]) as d (definition, low)
               cross join lateral (
                   select from amends.start_queue s
                   where s.definition = d.definition and s.n > d.low and s.n > 0
                   order by s.n
                   limit $4::bigint
               ) s
               limit $4::bigint
           ) c
       ) as starts,
       array (
           select l.id from unnest($1::bigint[]) as l (id)
           where (select i.lane from amends.inbox i where i.lane = l.id order by i.n limit 1) is not null
       ) as woken,
       array (
           select l.id from unnest($1::bigint[]) as l (id)
           where (select o.live from amends.lane o where o.id = l.id) is not true
       ) as lost,
       (
           select r.n from amends.rerun r
           where r.fate is null and r.due_at <= amends.now() and r.definition = any ($2::int[])
           limit 1
       ) is not null as reruns,
       array (
           select w.name from unnest($5::text[]) as w (name)
           where (select c.until from amends.chore c where c.name = w.name and c.until > amends.now()) is null
       ) as chores,
       case when 'timers' = any ($7::text[]) then
           (select t.fire_at from amends.timer t where t.fire_at <= amends.now() order by t.fire_at limit 1) is not null
       else false end as timers,
       case when 'turns' = any ($7::text[]) then
           (select k.n from amends.knock k order by k.n limit 1) is not null
       else false end as knocks,
       (select d.id from amends.definition d order by d.id desc limit 1) as definition,
       (select f.n from amends.fleet_signal f order by f.n desc limit 1) as fleet_signal
