-- Counts the live sagas by definition and status, unless a node did so within the last $1 milliseconds or does so
-- now.
-- Called by: store/measure.rs. Locks: an advisory one. Index: none; reads every live saga, about once a minute in all.
with due as materialized (
    select pg_try_advisory_xact_lock(4702111234474983747) as mine
    where coalesce((select max(c.at) from amends.census c), '-infinity') < amends.now() - $1::bigint * interval '1 ms'
), counted as materialized (
    select g.definition, g.status, count(*) as sagas
    from amends.live_saga g
    where (select d.mine from due d)
    group by g.definition, g.status
), kept as (
    insert into amends.census as c (definition, status, sagas, at)
    select n.definition, n.status, n.sagas, amends.now() from counted n
    on conflict (definition, status) do update set sagas = excluded.sagas, at = excluded.at
)
-- A group without sagas gets the count 0 and the time of this census.
update amends.census c set sagas = 0, at = amends.now()
where (select d.mine from due d)
  and not exists (select from counted n where n.definition = c.definition and n.status = c.status)
