-- The safety net: walks over $2 sagas after id $1, and makes ready every saga without a lane, a ready row and a
-- timer. No such saga should exist; each one found is a defect, counted and alarmed. A queued one has lost its input:
-- it becomes running, so that a lane takes it by this wake, finds no journal and sets it aside, where people see it.
-- Called by: store/sweep.rs, every few minutes. Locks: lost queued sagas (skip locked). Index: saga_pkey, timer_pkey.
with page as materialized (
    select g.id, g.definition, g.lane, g.status from amends.saga g where g.id > $1::uuid order by g.id limit $2::bigint
), lost as materialized (
    select p.id, p.definition, p.status from page p
    where p.lane is null
      and not exists (select from amends.timer t where t.id = p.id)
      and not exists (select from amends.ready r where r.id = p.id)
), inputless as materialized (
    select g.id from amends.saga g
    where g.id = any (array (select l.id from lost l where l.status = 'queued')) and g.status = 'queued'
        and g.lane is null
    order by g.id
    for update of g skip locked
), unqueued as (
    update amends.saga g set status = 'running' where g.id = any (array (select i.id from inputless i))
), woken as (
    insert into amends.ready (definition, id) select l.definition, l.id from lost l
)
select (select count(*) from lost) as lost, (select p.id from page p order by p.id desc limit 1) as last
