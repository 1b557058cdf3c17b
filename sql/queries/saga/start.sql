-- Starts a saga by name, owned by nobody yet.
-- Called by: store/read.rs. Locks: the start key. Index: start_key_pkey.
select amends.start($1::text, $2::text::json, $3::text) as id
