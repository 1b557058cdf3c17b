-- Makes up to $1 events due again whose node is gone or missing. It is unknown whether they were received.
-- Called by: store/outbox.rs. Locks: outbox rows (skip locked). Index: outbox_node, node_pkey.
with lost as materialized (
    select o.n from amends.outbox o
    where o.node is not null
      and (select x.id from amends.node x where x.id = o.node and x.gone_at is null) is null
    order by o.n
    limit $1::bigint
    for update skip locked
), freed as (
    update amends.outbox o set node = null, due_at = '-infinity' where o.n = any (array (select l.n from lost l))
)
select count(*) as freed from lost l
