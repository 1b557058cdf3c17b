-- Hands up to $2 sagas of lane $1 back, if it is dead or missing. Its own commit; repeated until it finds none.
-- Called by: store/sweep.rs. Locks: saga rows (skip locked). Index: saga_lane, then saga_pkey.
with found as materialized (
    select g.id from amends.saga g where g.lane = $1::bigint limit $2::bigint
), orphan as materialized (
    select g.id, g.definition
    from amends.saga g
    where g.id = any (array (select f.id from found f)) and g.lane is not distinct from $1::bigint
      and not exists (select from amends.lane l where l.id = $1::bigint and l.live)
    order by g.id
    for update of g skip locked
), freed as (
    update amends.saga g set lane = null where g.id = any (array (select o.id from orphan o))
), queued as (
    insert into amends.ready (definition, id) select o.definition, o.id from orphan o
)
select count(*) as sagas from orphan o
