-- Parks sagas $2 of lane $1 until a time $4 (milliseconds; null: for ever) or a signal. Parks only sagas without a
-- signal beyond $3: amends.request takes the same row lock, so no signal falls between. A locked saga stays with the
-- lane. Parking resets the deaths, since the lane has read the journal and lives. (`is not distinct from` keeps the
-- planner from using the index of lanes.)
-- Called by: store/claim.rs, prepared by store/lane.rs. Locks: the lane, saga rows (skip locked), timer.
-- Index: saga_pkey, timer_pkey.
with fence as materialized (
    select l.id from amends.lane l where l.id = $1::bigint and l.live for update
), parked as materialized (
    select g.id
    from amends.saga g
    where exists (select from fence f)
      and g.id = any ($2::uuid[]) and g.lane is not distinct from $1::bigint
      and g.signals = ($3::bigint[])[array_position($2::uuid[], g.id)]
    order by g.id
    for update of g skip locked
), freed as (
    update amends.saga g set lane = null, deaths = 0, tried = false where g.id = any (array (select p.id from parked p))
), timed as (
    insert into amends.timer (id, fire_at)
    select p.id, coalesce(to_timestamp(($4::bigint[])[array_position($2::uuid[], p.id)] / 1000.0), 'infinity')
    from parked p
    order by p.id
    on conflict (id) do update set fire_at = excluded.fire_at
)
select p.id from parked p
