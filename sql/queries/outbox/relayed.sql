-- Deletes event $1, which was received.
-- Called by: store/outbox.rs. Locks: the outbox row. Index: outbox_pkey.
delete from amends.outbox o where o.n = $1::bigint
