-- Says that saga $2 of lane $1 was read, and that nobody died of it.
-- Called by: store/suspect.rs. Locks: the saga row. Index: saga_pkey.
update amends.saga g set deaths = 0, tried = false where g.id = $2::uuid and g.lane is not distinct from $1::bigint
