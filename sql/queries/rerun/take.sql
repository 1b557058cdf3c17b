-- Takes up to $2 reruns of definitions $1 that nobody has decided, and keeps them from others for $3 milliseconds.
-- Called by: store/rerun.rs. Locks: reruns (skip locked). Index: rerun_open.
with due as materialized (
    select r.n from amends.rerun r
    where r.fate is null and r.due_at <= amends.now() and r.definition = any ($1::int[])
    order by r.due_at
    limit $2::bigint
    for update skip locked
)
update amends.rerun r set due_at = amends.now() + $3::bigint * interval '1 ms'
where r.n = any (array (select d.n from due d))
returning r.n, r.id, r.step, r.rerun, r.definition, r.by, r.application_name, host(r.addr) as addr, r.reason
