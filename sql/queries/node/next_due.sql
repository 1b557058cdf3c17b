-- Tells when a fleet without sagas has something to do, in milliseconds from now: null if never, 0 or less if now.
-- That is a ready row or a start in the queue of definitions $1, a start that waits for its turn to be granted, a saga
-- that a lane owns, the first timer (also of deadlines), the first event and the first rerun of these definitions.
--
-- A saga that another node runs counts as now: while it runs, a node must be awake to notice that the other died.
-- Called by: store/idle.rs, for a node that may sleep. Locks: none.
-- Index: ready_pkey, start_queue_order, knock_pkey, saga_lane, timer_fire_at, outbox_due, rerun_open.
select (extract(epoch from least(
           (
               select amends.now()
               where exists (
                       select from unnest($1::int[]) as d (definition)
                       where (select r.n from amends.ready r where r.definition = d.definition order by r.n limit 1)
                             is not null
                          or (select s.n from amends.start_queue s where s.definition = d.definition and s.n > 0
                              order by s.n limit 1) is not null)
                  or exists (select from amends.knock)
                  or (select g.lane from amends.saga g where g.lane is not null order by g.lane limit 1) is not null
           ),
           (select t.fire_at from amends.timer t where t.fire_at < 'infinity' order by t.fire_at limit 1),
           (select greatest(o.due_at, amends.now()) from amends.outbox o order by o.due_at, o.n limit 1),
           (
               select r.due_at from amends.rerun r
               where r.fate is null and r.definition = any ($1::int[])
               order by r.due_at
               limit 1
           )
       ) - amends.now()) * 1000)::bigint as due_ms
