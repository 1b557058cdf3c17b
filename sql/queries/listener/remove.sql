-- Records that node $1 cannot listen, so that starts and requests do not notify it.
-- Called by: store/listener.rs. Locks: the row of the node. Index: listener_pkey.
delete from amends.listener h where h.node = $1::bigint
