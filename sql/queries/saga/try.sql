-- Says whether ($3) lane $1 reads saga $2 alone now: if its process dies before it has written a row of it, that counts. No row: the
-- lane is dead, or does not own it.
-- Called by: store/suspect.rs. Locks: the saga row. Index: saga_pkey, lane_pkey.
update amends.saga g set tried = $3::boolean
where g.id = $2::uuid and g.lane is not distinct from $1::bigint
  and exists (select from amends.lane l where l.id = $1::bigint and l.live)
returning g.id
