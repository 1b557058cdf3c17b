-- Sets the status of the stuck saga $2 of lane $1 to $3, now that its journal was read. It is no longer set aside.
-- Called by: store/unreadable.rs. Locks: the saga row, unreadable. Index: saga_pkey, unreadable_pkey.
with back as (
    update amends.saga g set status = $3::text
    where g.id = $2::uuid and g.lane is not distinct from $1::bigint
    returning g.id
)
delete from amends.unreadable u using back b where u.id = b.id
