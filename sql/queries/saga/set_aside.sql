-- Sets saga $2 of lane $1 aside because its journal cannot be read, for the reason $3. It is stuck; any node tries it
-- again after $4 milliseconds, or when it gets a signal. No row: the lane is dead, or does not own it.
-- Called by: store/unreadable.rs. Locks: the lane, the saga row, unreadable, timer. Index: saga_pkey.
with fence as materialized (
    select l.id, l.node from amends.lane l where l.id = $1::bigint and l.live for update
), aside as (
    update amends.saga g set lane = null, deaths = 0, tried = false, status = 'stuck'
    where exists (select from fence f) and g.id = $2::uuid and g.lane is not distinct from $1::bigint
    returning g.id
), noted as (
    insert into amends.unreadable (id, at, node, reason)
    select a.id, amends.now(), f.node, $3::text from aside a cross join fence f
    on conflict (id) do update set at = excluded.at, node = excluded.node, reason = excluded.reason
), timed as (
    insert into amends.timer (id, fire_at)
    select a.id, amends.now() + make_interval(secs => $4::bigint / 1000.0) from aside a
    on conflict (id) do update set fire_at = excluded.fire_at
)
select a.id from aside a
