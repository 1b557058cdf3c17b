-- Reads the keys that open session ids; each seals new ids for $1 seconds. Makes missing keys and deletes old ones.
-- Called by: store/session_key.rs. Locks: keys that are made or deleted. Index: session_key_pkey.
select k.key, k.is_current from amends.session_keys($1::bigint) k
