-- Takes node $1 and its lanes out of service at once, lets other nodes take its chores, and notes that it listens no
-- more.
-- Called by: store/node.rs, on shutdown. Locks: the node, then its lanes, then its chores. Index: node_pkey.
with left_now as materialized (
    update amends.node n set gone_at = amends.now(), leaving = true where n.id = $1::bigint and n.gone_at is null
        returning n.id
), lets_go as (
    update amends.chore c set until = '-infinity' from left_now n where c.node = n.id
), hears_no_more as (
    delete from amends.listener h using left_now n where h.node = n.id
)
update amends.lane l set live = false from left_now n where l.node = n.id and l.live
