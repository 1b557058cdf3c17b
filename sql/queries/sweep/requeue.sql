-- Hands back up to $2 sagas of lane $1, if the lane is dead or missing. Each run is a commit of its own; the sweep
-- repeats it until it finds none. Judges the death of the lane's process, unless the process had announced its end or
-- was draining.
--
-- A death during a marked lone trial counts against that saga. $4 such deaths in a row convict it; each other process
-- that died within $6 milliseconds makes one more necessary. A saga that is not convicted is held back for the next
-- of the pauses $5 (milliseconds; the last holds for all further ones).
--
-- A death without a mark counts if the process had written no row of the saga: perhaps it died of reading it. After
-- $3 such deaths the saga is a suspect, and is held back for the first pause.
--
-- If the process of the last trial died before it wrote a row, the convicted saga is set aside: it is stuck until it
-- is told to resume. Any other convicted saga is ready again, and its next owner records the conviction in the
-- journal.
-- Called by: store/sweep.rs. Locks: saga rows (skip locked), unreadable, timer, suspects.
-- Index: saga_lane, then saga_pkey, and the key of the journal.
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
    -- No row: the node goes on and has only lost a connection, or it has left in good order, or it was about to.
    select n.node, n.beat_at
    from amends.lane l
    cross join lateral (
        select n.id as node, n.beat_at from amends.node n
        where n.id = l.node and n.gone_at > n.beat_at + n.ttl_ms * interval '1 ms' and not n.leaving
          and not exists (select from amends.fleet_signal d
                          where d.node = n.id and d.verb = 'drain_node' and d.lifted_by is null)
        limit 1
    ) n
    where l.id = $1::bigint
), seen as materialized (
    select o.id, o.definition, o.deaths, o.tried, d.node, coalesce(s.trials, 0) + 1 as trials,
           (select j.lane from amends.journal j where j.id = o.id order by j.seq desc limit 1)
               is distinct from $1::bigint as silent,
           case when o.tried then (
               select count(*) from amends.node n
               where n.id <> d.node and n.beat_at <= d.beat_at + $6::bigint * interval '1 ms'
                 and n.beat_at >= greatest(d.beat_at - $6::bigint * interval '1 ms', s.judged_at)
                 and coalesce(n.gone_at, amends.now()) > n.beat_at + n.ttl_ms * interval '1 ms') end as others
    from orphan o
    cross join died d
    left join amends.suspect s on s.id = o.id
), judged as materialized (
    select s.id, s.definition, s.deaths, s.tried, s.node, s.trials, s.silent,
           s.tried and s.trials >= $4::bigint + s.others as convicted,
           not s.tried and s.silent and s.deaths + 1 >= $3::smallint as suspected
    from seen s
), aside as materialized (
    select j.id, j.definition, j.trials, j.node from judged j where j.convicted and j.silent
), held as materialized (
    select j.id, case when j.tried then j.trials else 0 end as trials
    from judged j where j.tried and not j.convicted or j.suspected
), freed as (
    update amends.saga g
    set lane = null,
        deaths = (select case when j.convicted and j.silent then greatest(j.trials, $3::smallint)
                              when j.convicted then $3::smallint
                              when not j.silent then 0
                              when j.tried then greatest(j.deaths, $3::smallint)
                              else least(j.deaths + 1, $3::smallint) end
                  from judged j where j.id = g.id
                  union all
                  select g.deaths where not exists (select from died d)),
        tried = g.id = any (array (select a.id from aside a)) or g.id = any (array (select h.id from held h)),
        status = case when g.id = any (array (select a.id from aside a)) then 'stuck' else g.status end
    where g.id = any (array (select o.id from orphan o))
), noted as (
    insert into amends.unreadable (id, at, node, reason)
    select a.id, amends.now(), a.node, a.trials || ' processes in a row died when they took it up alone'
    from aside a
    on conflict (id) do update set at = excluded.at, node = excluded.node, reason = excluded.reason
), timed as (
    insert into amends.timer (id, fire_at)
    select a.id, 'infinity'::timestamptz from aside a
    union all
    select h.id, amends.now() + interval '1 ms' * ($5::bigint[])[least(h.trials + 1, cardinality($5::bigint[]))]
        from held h
    on conflict (id) do update set fire_at = excluded.fire_at
), suspects as (
    insert into amends.suspect (id, trials, judged_at, node, convicted)
    select j.id, case when j.tried and not (j.convicted and j.silent) then j.trials else 0 end, amends.now(),
           case when j.tried and not (j.convicted and j.silent) then j.node end, j.convicted and not j.silent
    from judged j
    -- A saga that was a suspect before keeps its trials.
    where j.tried or j.suspected and j.deaths < $3::smallint
    on conflict (id) do update
    set trials = excluded.trials, judged_at = excluded.judged_at, node = excluded.node, convicted = excluded.convicted
), queued as (
    insert into amends.ready (definition, id)
    select o.definition, o.id from orphan o
    where o.id <> all (array (select a.id from aside a)) and o.id <> all (array (select h.id from held h))
)
select (select count(*) from orphan o) as sagas, array (select a.id from aside a order by a.id) as aside,
       array (select a.definition from aside a order by a.id) as aside_definition
