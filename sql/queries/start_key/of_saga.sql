-- Reads the key that started saga $1, if one did.
-- Called by: store/start_key.rs. Locks: none. Index: start_key_id.
select k.name, k.key from amends.start_key k where k.id = $1::uuid
