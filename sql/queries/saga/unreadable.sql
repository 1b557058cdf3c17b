-- Reads why saga $1 was set aside.
-- Called by: store/unreadable.rs. Locks: none. Index: unreadable_pkey.
select amends.millis(u.at) as at, u.node, u.reason from amends.unreadable u where u.id = $1::uuid
