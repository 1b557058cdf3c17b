-- Starts a saga by name under id $1, owned by nobody yet, at position $5 in a trace; returns the id of the first saga when
-- the key had started one.
-- Called by: store/read.rs. Locks: the start key. Index: start_key_pkey.
select amends.start_as($1::uuid, $2::text, $3::text::json, $4::text, $5::text) as id
