-- Hands up to $2 sagas of lane $1 back, if it is dead or missing. Its own commit; repeated until it finds none.
-- Counts the deaths of processes that had a saga and wrote no row of it: perhaps they died of reading it. From one before $3
-- on only those count that tried it alone; at $3 it is put aside, stuck, until it is told to resume.
-- Called by: store/sweep.rs. Locks: saga rows (skip locked), unreadable, timer. Index: saga_lane, then saga_pkey, and
-- the key of the journal.
with found as materialized (
    select g.id from amends.saga g where g.lane = $1::bigint limit $2::bigint
), orphan as materialized (
    select g.id, g.definition, g.deaths, g.tried
    from amends.saga g
    where g.id = any (array (select f.id from found f)) and g.lane is not distinct from $1::bigint
      and not exists (select from amends.lane l where l.id = $1::bigint and l.live)
    order by g.id
    for update of g skip locked
), died as materialized (
    -- Else the node goes on and has only lost a connection, or it has left in good order.
    select n.id as node
    from amends.lane l
    cross join lateral (
        select n.id from amends.node n
        where n.id = l.node and n.gone_at > n.beat_at + n.ttl_ms * interval '1 ms'
        limit 1
    ) n
    where l.id = $1::bigint
), silent as materialized (
    select o.id, o.definition, o.deaths, o.tried
    from orphan o
    where exists (select from died d)
      and (select j.lane from amends.journal j where j.id = o.id order by j.seq desc limit 1) is distinct from $1::bigint
), counted as materialized (
    select s.id from silent s where s.tried or s.deaths + 1 < $3::smallint
), aside as materialized (
    select s.id, s.definition, s.deaths + 1 as deaths from silent s where s.tried and s.deaths + 1 >= $3::smallint
), freed as (
    update amends.saga g
    set lane = null,
        deaths = case when g.id = any (array (select c.id from counted c)) then g.deaths + 1
                      when g.id = any (array (select s.id from silent s)) or not exists (select from died d) then g.deaths
                      else 0 end,
        tried = g.id = any (array (select a.id from aside a)),
        status = case when g.id = any (array (select a.id from aside a)) then 'stuck' else g.status end
    where g.id = any (array (select o.id from orphan o))
), noted as (
    insert into amends.unreadable (id, at, node, reason)
    select a.id, amends.now(), d.node, a.deaths || ' processes in a row died when they took it up'
    from aside a
    cross join died d
    on conflict (id) do update set at = excluded.at, node = excluded.node, reason = excluded.reason
), timed as (
    insert into amends.timer (id, fire_at)
    select a.id, 'infinity' from aside a
    on conflict (id) do update set fire_at = excluded.fire_at
), queued as (
    insert into amends.ready (definition, id)
    select o.definition, o.id from orphan o where o.id <> all (array (select a.id from aside a))
)
select (select count(*) from orphan o) as sagas, array (select a.id from aside a order by a.id) as aside,
       array (select a.definition from aside a order by a.id) as aside_definition
