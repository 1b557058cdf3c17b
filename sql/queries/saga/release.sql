-- Hands sagas $2 of lane $1 back: any node may claim them. What somebody else has locked just now stays owned; the sweep
-- gets it once the lane is dead.
-- Called by: store/work.rs, on shutdown. Locks: saga rows (skip locked). Index: saga_pkey.
with held as materialized (
    select g.id from amends.saga g
    where g.id = any ($2::uuid[]) and g.lane = $1::bigint
    order by g.id
    for update of g skip locked
), freed as (
    update amends.saga g set lane = null from held h where g.id = h.id returning g.id, g.definition
), queued as (
    insert into amends.ready (definition, id) select f.definition, f.id from freed f
)
select f.id from freed f
