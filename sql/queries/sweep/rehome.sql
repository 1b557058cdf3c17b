-- Hands up to $2 sagas of lane $1 back, if it is dead or missing. Its own commit; repeated until it finds none.
-- Called by: store/sweep.rs. Locks: saga rows (skip locked). Index: saga_lane.
with orphan as materialized (
    select g.id, g.definition
    from amends.saga g
    where g.lane = $1::bigint
      and not exists (select from amends.lane l where l.id = $1::bigint and l.live)
    order by g.id
    limit $2::bigint
    for update of g skip locked
), freed as (
    update amends.saga g set lane = null from orphan o where g.id = o.id returning g.id, g.definition
), queued as (
    insert into amends.ready (definition, id) select f.definition, f.id from freed f
)
select count(*) as sagas from freed f
