-- Starts a saga by name under id $1, on no lane, at position $5 in a trace, on behalf of $6 (null: the session's user;
-- empty: the program around a node). $4 is a key of $7 (null: of an application). Returns the first saga's id if the
-- key has started one before.
-- Called by: store/read.rs. Locks: the start key. Index: start_key_pkey.
select amends.start_as($1::uuid, $2::text, $3::text::json, $4::text, $5::text, $6::text, $7::text) as id
