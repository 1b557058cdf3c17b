-- Claims up to $4 wakes for lane $1, of the definitions $2, each from its watermark $3 on. Takes sagas that nobody owns,
-- forwards wakes of sagas that another lane owns, drops wakes of ended ones; writes row 1 of sagas started by SQL.
-- `held` is the important part: it locks the saga and returns the newest owner, not the one of the snapshot; what somebody
-- else has locked just now is left for the next claim, so that a claim waits for nobody. Load the journals in a LATER
-- statement: this one's snapshot may be older than the lock. No row at all: the lane is dead.
-- Called by: store/work.rs. Locks: the lane, ready rows (skip locked), saga rows (skip locked), timer. Index: ready_pkey.
with fence as materialized (
    select l.id from amends.lane l where l.id = $1::bigint and l.live for update
), chosen as materialized (
    select r.definition, r.n, r.id, r.input
    from fence
    cross join unnest($2::int[], $3::bigint[]) as d (definition, low)
    cross join lateral (
        select r.definition, r.n, r.id, r.input
        from amends.ready r
        where r.definition = d.definition and r.n > d.low
        order by r.n
        limit $4::bigint
        for update skip locked
    ) r
    limit $4::bigint
), held as materialized (
    select g.id, g.definition, g.lane as owner, g.status, g.signals
    from amends.saga g
    where g.id in (select c.id from chosen c)
    order by g.id
    for update of g skip locked
), taken as (
    delete from amends.ready r
    using chosen c
    where r.definition = c.definition and r.n = c.n
      and (exists (select from held h where h.id = c.id)
           or not exists (select from amends.saga g where g.id = c.id))
    returning c.definition, c.n, c.id, c.input
), owned as (
    update amends.saga g
    set lane = $1::bigint, status = case g.status when 'queued' then 'running' else g.status end
    from held h
    where h.owner is null and g.id = h.id
    returning g.id
), forwarded as (
    insert into amends.inbox (lane, id, definition)
    select distinct h.owner, h.id, h.definition
    from taken t join held h on h.id = t.id
    where h.owner is not null and h.owner <> $1::bigint
), begun as (
    insert into amends.journal (id, seq, lane, at, kind, body)
    select t.id, 1, $1::bigint, amends.now(), 'started',
           '{"started":{"at":' || amends.millis(amends.now())::text || ',"input":' || t.input || '}}'
    from taken t join held h on h.id = t.id
    where h.owner is null and t.input is not null
    order by t.id
    on conflict (id, seq) do nothing
    returning id
), unset as (
    delete from amends.timer t using owned o where t.id = o.id
)
select t.definition as ready_definition, t.n, h.id, h.definition, h.status, h.signals,
       h.owner is null as adopted, exists (select from begun b where b.id = h.id) as fresh
from fence f
left join taken t on true
left join held h on h.id = t.id and (h.owner is null or h.owner = $1::bigint)
