-- The safety net: walks $2 sagas after id $1, and makes ready what has neither lane, ready row nor timer. There is no
-- such saga; each one found is a defect, counted and alarmed.
-- Called by: store/sweep.rs, every few minutes. Locks: none. Index: saga_pkey, timer_pkey.
with page as materialized (
    select g.id, g.definition, g.lane from amends.saga g where g.id > $1::uuid order by g.id limit $2::bigint
), lost as materialized (
    select p.id, p.definition from page p
    where p.lane is null
      and not exists (select from amends.timer t where t.id = p.id)
      and not exists (select from amends.ready r where r.id = p.id)
), woken as (
    insert into amends.ready (definition, id) select l.definition, l.id from lost l
)
select (select count(*) from lost) as lost, (select p.id from page p order by p.id desc limit 1) as last
