-- Takes one undecided rerun of definitions $1 for node $3. Keeps it from other nodes for $2 milliseconds plus the
-- node's time to live, so that by then a dead node is known to be dead. Counts how many nodes in a row took it and
-- died before they decided it.
-- Called by: store/rerun.rs. Locks: the rerun (skip locked). Index: rerun_open, node_pkey.
with due as materialized (
    select r.n from amends.rerun r
    where r.fate is null and r.due_at <= amends.now() and r.definition = any ($1::int[])
    order by r.due_at
    limit 1
    for update skip locked
)
update amends.rerun r
set due_at = amends.now() + interval '1 ms' * ($2::bigint + coalesce(
        (select n.ttl_ms from amends.node n where n.id = $3::bigint), 0)),
    node = $3::bigint,
    deaths = case
        when r.node = $3::bigint then r.deaths
        when r.node is not null and not exists (
            select from amends.node n
            where n.id = r.node and coalesce(n.gone_at, amends.now()) <= n.beat_at + n.ttl_ms * interval '1 ms')
        then r.deaths + 1
        else 0 end
where r.n = any (array (select d.n from due d))
returning r.n, r.id, r.step, r.rerun, r.definition, r.by, r.application_name, host(r.addr) as addr, r.reason, r.deaths
