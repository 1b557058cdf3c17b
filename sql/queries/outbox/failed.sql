-- Puts off event $1 by $3 milliseconds, because node $2 could not relay it for the reason $4.
-- Called by: store/outbox.rs. Locks: the outbox row. Index: outbox_pkey.
update amends.outbox o
set node = null, due_at = amends.now() + $3::bigint * interval '1 ms', error = $4::text
where o.n = $1::bigint and o.node = $2::bigint
