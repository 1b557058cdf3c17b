-- Says that node $1 is about to end: if it is killed before it has handed everything back, it died of no saga.
-- Called by: store/node.rs, before the drain of a node that is stopped. Locks: the node. Index: node_pkey.
update amends.node n set leaving = true where n.id = $1::bigint and n.gone_at is null
