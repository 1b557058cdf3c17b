-- Records that node $1 is about to end. If it is killed before it has handed everything back, no saga is blamed.
-- Called by: store/node.rs, before a node that is stopped drains. Locks: the node. Index: node_pkey.
update amends.node n set leaving = true where n.id = $1::bigint and n.gone_at is null
