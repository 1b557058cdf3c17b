-- Records that node $1 listens, so that starts and requests notify it. Forgets nodes that are gone.
-- Called by: store/listener.rs. Locks: rows of nodes that are gone. Index: listener_pkey, node_pkey.
with forgotten as (
    delete from amends.listener h
    where h.node <> $1::bigint
      and not exists (select from amends.node n where n.id = h.node and n.gone_at is null)
)
insert into amends.listener (node) select n.id from amends.node n where n.id = $1::bigint and n.gone_at is null
on conflict do nothing
