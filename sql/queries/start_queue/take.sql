-- Takes up to $4 starts for lane $1 out of the queue, of the definitions $2, each with a number above $3, its
-- watermark, in this order. Writes the rows of their sagas, and row 1 of their journals with the time that they waited.
--
-- A start in the queue has no row of its saga, and no signals. A request takes it out of the queue first. So a lane
-- either takes a start here, or finds it in `ready` with its signals counted.
--
-- No row at all: the lane is dead.
-- Called by: store/claim.rs, prepared by store/lane.rs. Index: start_queue_order, start_queue_pkey.
-- Locks: the lane, starts in the queue (skip locked).
with fence as materialized (
    select l.id from amends.lane l where l.id = $1::bigint and l.live for update
), chosen as materialized (
    select s.definition, s.n, s.id, s.at,
           '{"begun":{"law":2,"at":' || amends.millis(amends.now())::text
               || coalesce(',"waited_ms":'
                           || nullif(greatest(amends.millis(amends.now()) - amends.millis(s.at), 0), 0)::text, '')
               || ',"input":' || s.input || '}}' as body
    from fence
    cross join unnest($2::int[], $3::bigint[]) as d (definition, low)
    cross join lateral (
        select s.definition, s.n, s.id, s.at, s.input
        from amends.start_queue s
        where s.definition = d.definition and s.n > d.low and s.n > 0
        order by s.n
        limit $4::bigint
        for update skip locked
    ) s
    limit $4::bigint
), made as (
    insert into amends.saga (id, definition, status, lane, signals, started_at)
    select c.id, c.definition, 'running', $1::bigint, 0, c.at
    from chosen c
    order by c.id
), begun as (
    insert into amends.journal (id, seq, lane, at, kind, body)
    select c.id, 1, $1::bigint, amends.now(), 'begun', c.body
    from chosen c
    order by c.id
), taken as (
    delete from amends.start_queue s where s.id = any (array (select c.id from chosen c))
)
select c.definition, c.n, c.id, c.body as first, amends.millis(amends.now()) as at,
       amends.millis(amends.now()) - amends.millis(c.at) as waited_ms
from fence f left join chosen c on true
