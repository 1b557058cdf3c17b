-- Wakes: a transaction that gives nodes something to do notifies the channel `amends_wake`, if any node listens there
-- (`node.wake: listen`). A notification is a hint without a payload; what is right never depends on it. Postgres lets
-- transactions with a notification commit only one at a time, in the whole cluster. So none is sent while no node
-- listens.

-- Nodes that listen. Read by every start and every request, so it has nothing but a row for each of them.
create table amends.listener (
    node  bigint primary key
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50);
