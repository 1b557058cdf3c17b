-- Claims up to $4 wakes for lane $1, of the definitions $2, each with a number between $3, its watermark, and $5, in
-- this order. Takes sagas without an owner, forwards wakes of sagas that another lane owns, and drops wakes of ended
-- sagas. Writes row 1 of queued sagas, with the time that they waited: since the start or, if they take turns, since
-- they got their turn. Starts in the queue are taken by start_queue/take.sql.
--
-- A queued saga has no row 1 yet. A lane takes it only together with the ready row that holds its input. A wake alone
-- is dropped, because the lane that takes the input reads the number of signals. Only the lane that takes the saga
-- deletes the row with the input. If a node of an older version took the saga without it, the row stays until that
-- node has set the saga aside.
--
-- `held` is the important part: it locks the saga and returns the newest owner, not the owner in the snapshot. It
-- leaves locked sagas to the next claim, so a claim waits for no other transaction. `first` is row 1 if this claim
-- wrote it: then that is the whole journal. Load all other journals in a LATER statement: the snapshot of this one
-- may be older than the lock.
--
-- No row at all: the lane is dead.
--
-- Tables are looked up by arrays of keys and never joined, and `woken` is a full join because that is always a hash
-- join. So a plan that was made while the tables were empty is still right when they are large.
-- Called by: store/claim.rs, prepared by store/lane.rs. Index: ready_pkey.
-- Locks: the lane, ready rows (skip locked), saga rows (skip locked), timer.
with fence as materialized (
    select l.id from amends.lane l where l.id = $1::bigint and l.live for update
), chosen as materialized (
    select r.definition, r.n, r.id, r.input, r.at
    from fence
    cross join unnest($2::int[], $3::bigint[], $5::bigint[]) as d (definition, low, high)
    cross join lateral (
        select r.definition, r.n, r.id, r.input, r.at
        from amends.ready r
        where r.definition = d.definition and r.n > d.low and r.n < d.high
        order by r.n
        limit $4::bigint
        for update skip locked
    ) r
    limit $4::bigint
), held as materialized (
    select g.id, g.definition, g.lane as owner, g.signals, g.deaths, g.status = 'stuck' as stuck,
        g.status = 'queued' as queued
    from amends.saga g
    where g.id = any (array (select c.id from chosen c))
    order by g.id
    for update of g skip locked
), taken as (
    delete from amends.ready r
    where r.definition = any (array (select distinct c.definition from chosen c))
      and r.n >= (select min(c.n) from chosen c) and r.n <= (select max(c.n) from chosen c)
      and r.n = any (array (
          select c.n from chosen c
          where c.id in (select h.id from held h)
                and (c.input is null or c.id not in (select h.id from held h where h.owner is not null))
             -- The saga has ended. A scalar subquery: the planner may turn an `exists` into a scan of all sagas.
             or (select g.id from amends.saga g where g.id = c.id) is null))
    returning r.definition, r.n, r.id, r.input, r.at
), owned as (
    update amends.saga g
    set lane = $1::bigint, tried = false, status = case g.status when 'queued' then 'running' else g.status end
    where g.id = any (array (
        select h.id from held h
        where h.owner is null
          and (not h.queued or h.id in (select c.id from chosen c where c.input is not null))))
    returning g.id
), unset as (
    delete from amends.timer t where t.id = any (array (select o.id from owned o))
), woken as materialized (
    select t.definition as ready_definition, t.n, t.input, t.at, h.id, h.definition, h.owner, h.signals,
           h.deaths, h.stuck, h.queued and t.input is null as dropped
    from taken t full join held h on h.id = t.id
), forwarded as (
    insert into amends.inbox (lane, id, definition)
    select distinct w.owner, w.id, w.definition
    from woken w
    where w.n is not null and w.owner is not null and w.owner <> $1::bigint
), begun as (
    insert into amends.journal (id, seq, lane, at, kind, body)
    select w.id, 1, $1::bigint, amends.now(), 'begun',
           '{"begun":{"law":2,"at":' || amends.millis(amends.now())::text
               || coalesce(',"waited_ms":'
                           || nullif(greatest(amends.millis(amends.now()) - amends.millis(w.at), 0), 0)::text, '')
               || ',"input":' || w.input || '}}'
    from woken w
    where w.id is not null and w.owner is null and w.input is not null
    order by w.id
    on conflict (id, seq) do nothing
    returning id, body
)
select w.ready_definition, w.n, w.id, w.definition, w.signals, w.deaths, w.stuck, w.owner is null as adopted,
       b.body as first, amends.millis(amends.now()) as at,
       w.n is not null and not w.dropped and (w.owner is null or w.owner = $1::bigint) as mine,
       amends.millis(amends.now()) - amends.millis(w.at) as waited_ms
from fence f left join (woken w full join begun b on b.id = w.id) on true
