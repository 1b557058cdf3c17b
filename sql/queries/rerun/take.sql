-- Takes up to $2 reruns of definitions $1 for node $4 that nobody has decided, and keeps them from others for $3 milliseconds. Counts
-- the nodes that were about to decide one and have died since.
-- Called by: store/rerun.rs. Locks: reruns (skip locked). Index: rerun_open.
with due as materialized (
    select r.n from amends.rerun r
    where r.fate is null and r.due_at <= amends.now() and r.definition = any ($1::int[])
    order by r.due_at
    limit $2::bigint
    for update skip locked
)
update amends.rerun r
set due_at = amends.now() + $3::bigint * interval '1 ms', node = $4::bigint,
    deaths = r.deaths + case when r.node <> $4::bigint and not exists (
        select from amends.node n
        where n.id = r.node
          and coalesce(n.gone_at, amends.now()) <= n.beat_at + n.ttl_ms * interval '1 ms') then 1 else 0 end
where r.n = any (array (select d.n from due d))
returning r.n, r.id, r.step, r.rerun, r.definition, r.by, r.application_name, host(r.addr) as addr, r.reason, r.deaths
