-- Makes up to $1 sagas ready whose time has come.
-- Called by: store/work.rs. Locks: timer rows (skip locked). Index: timer_fire_at.
with due as materialized (
    select t.id from amends.timer t
    where t.fire_at <= amends.now()
    order by t.fire_at, t.id
    limit $1::bigint
    for update skip locked
), fired as (
    delete from amends.timer t using due d where t.id = d.id returning t.id
), queued as (
    insert into amends.ready (definition, id)
    select g.definition, g.id from fired f join amends.saga g on g.id = f.id
)
select count(*) as fired from fired f
