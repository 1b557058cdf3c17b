-- Reads the key that started saga $1, in its stored form, and its owner, if a key did.
-- Called by: store/start_key.rs. Locks: none. Index: start_key_id.
select k.name, k.key, amends.key_owner(k.owner, k.key) as owner from amends.start_key k where k.id = $1::uuid
