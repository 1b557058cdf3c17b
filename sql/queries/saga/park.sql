-- Lets go of sagas $2 of lane $1 until a time $4 (milliseconds; null for ever) or a signal. Only those that have had no
-- signal beyond $3: the same row lock serialises this with amends.request, so that no signal falls between. What
-- somebody else has locked just now stays owned.
-- Called by: store/work.rs. Locks: the lane, saga rows (skip locked), timer. Index: saga_pkey, timer_pkey.
with fence as materialized (
    select l.id from amends.lane l where l.id = $1::bigint and l.live for update
), parked as materialized (
    select g.id, u.wake_ms
    from fence
    cross join unnest($2::uuid[], $3::bigint[], $4::bigint[]) as u (id, seen, wake_ms)
    join amends.saga g on g.id = u.id
    where g.lane = $1::bigint and g.signals = u.seen
    order by g.id
    for update of g skip locked
), freed as (
    update amends.saga g set lane = null from parked p where g.id = p.id
), timed as (
    insert into amends.timer (id, fire_at)
    select p.id, coalesce(to_timestamp(p.wake_ms / 1000.0), 'infinity') from parked p order by p.id
    on conflict (id) do update set fire_at = excluded.fire_at
)
select p.id from parked p
