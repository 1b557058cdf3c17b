-- Marks saga $2 of lane $1 for a lone trial: from now on a death of this process counts against it. $3: the pauses in
-- milliseconds before the first trial, the second and so on; the last holds for all further trials. $4: trials of an
-- earlier suspicion do not count. Returns how much of the pause is left (if any is, there is no mark) and whether the
-- saga is convicted (then it needs no mark). No row: the lane is dead, or does not own the saga.
-- Called by: store/quarantine.rs. Locks: the saga row, the suspect. Index: saga_pkey, lane_pkey, suspect_pkey.
with mine as materialized (
    select g.id from amends.saga g
    where g.id = $2::uuid and g.lane is not distinct from $1::bigint
      and exists (select from amends.lane l where l.id = $1::bigint and l.live)
    for update of g
), standing as materialized (
    select m.id, coalesce(s.convicted and not $4::boolean, false) as convicted,
           case when $4::boolean or s.id is null then 0
                else greatest(0, ceil(extract(epoch from s.judged_at - amends.now()) * 1000)::bigint
                    + ($3::bigint[])[least(s.trials + 1, cardinality($3::bigint[]))]) end::bigint as wait_ms
    from mine m left join amends.suspect s on s.id = m.id
), ready as materialized (
    select s.id from standing s where s.wait_ms = 0 and not s.convicted
), marked as (
    update amends.saga g set tried = true where g.id = any (array (select r.id from ready r))
), noted as (
    insert into amends.suspect (id, trials, judged_at)
    select r.id, 0, amends.now() from ready r
    on conflict (id) do update
    set trials = case when $4::boolean then 0 else suspect.trials end,
        judged_at = case when $4::boolean then excluded.judged_at else suspect.judged_at end,
        convicted = false
)
select s.wait_ms, s.convicted from standing s
