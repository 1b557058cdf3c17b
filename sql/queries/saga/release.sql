-- Releases sagas $2 of lane $1: any node may claim them. A locked saga stays with the lane; the sweep hands it back
-- once the lane is dead. (`is not distinct from` keeps the planner from using the index of lanes.)
-- Called by: store/claim.rs, on shutdown, prepared by store/lane.rs. Locks: saga rows (skip locked). Index: saga_pkey.
with held as materialized (
    select g.id, g.definition
    from amends.saga g
    where g.id = any ($2::uuid[]) and g.lane is not distinct from $1::bigint
    order by g.id
    for update of g skip locked
), freed as (
    update amends.saga g set lane = null, tried = false where g.id = any (array (select h.id from held h))
), queued as (
    insert into amends.ready (definition, id) select h.definition, h.id from held h
)
select h.id from held h
