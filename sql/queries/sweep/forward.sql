-- Moves wakes from the inboxes of dead or missing lanes to the ready rows, where any node may take them. Runs in
-- every sweep, because a wake may enter an inbox just after its lane died. A saga that was set aside, or is held back
-- for a trial, stays so, unless one of these wakes told it to resume.
-- Called by: store/sweep.rs. Locks: inbox rows. Index: inbox_pkey, lane_pkey, saga_pkey, signal_pkey.
with moved as (
    delete from amends.inbox i
    where not exists (select from amends.lane l where l.id = i.lane and l.live)
    returning i.id, i.definition
), woken as materialized (
    -- As a rule, each of the last signals brought one of the wakes.
    select m.id, m.definition, count(*) as signals from moved m group by m.id, m.definition
), queued as (
    insert into amends.ready (definition, id)
    select w.definition, w.id
    from woken w
    -- A saga that is still tried has an owner that reads its signals, or an owner whose death is yet to be judged.
    where (select g.tried and not exists (
                      select from amends.signal s
                      where s.id = g.id and s.n > g.signals - w.signals and starts_with(s.request, '{"resume"'))
           from amends.saga g where g.id = w.id) is not true
)
select coalesce(sum(w.signals), 0)::bigint as wakes from woken w
