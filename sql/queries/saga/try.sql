-- Says that lane $1 reads saga $2 alone now: if its process dies before it has written a row of it, that counts. No row: the lane
-- does not own it.
-- Called by: store/suspect.rs. Locks: the saga row. Index: saga_pkey.
update amends.saga g set tried = true where g.id = $2::uuid and g.lane is not distinct from $1::bigint returning g.id
