-- Reads why saga $1 was set aside, and whether that is because processes died of it.
-- Called by: store/unreadable.rs. Locks: none. Index: unreadable_pkey, saga_pkey.
select amends.millis(u.at) as at, u.node, u.reason,
       coalesce((select g.deaths > 0 from amends.saga g where g.id = u.id), false) as died
from amends.unreadable u
where u.id = $1::uuid
