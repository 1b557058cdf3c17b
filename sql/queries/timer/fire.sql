-- Makes up to $1 parked sagas ready, those whose time has come. The clock is STABLE: a volatile one could not bound
-- the scan.
-- Called by: store/claim.rs. Locks: timer rows (skip locked). Index: timer_fire_at, then timer_pkey.
with due as materialized (
    select t.id from amends.timer t
    where t.fire_at <= amends.now()
    order by t.fire_at
    limit $1::bigint
    for update skip locked
), fired as (
    delete from amends.timer t where t.id = any (array (select d.id from due d)) returning t.id
), queued as (
    insert into amends.ready (definition, id)
    select g.definition, f.id
    from fired f
    cross join lateral (select g.definition from amends.saga g where g.id = f.id limit 1) g
)
select count(*) as fired from fired f
