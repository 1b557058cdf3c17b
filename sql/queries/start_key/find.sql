-- Finds the saga that key $2 (in its stored form) of definition $1 started within the last $3 milliseconds.
-- Called by: store/start_key.rs. Locks: none. Index: start_key_pkey.
select k.id from amends.start_key k
where k.name = $1::text and k.key = $2::text and k.at > amends.now() - $3::bigint * interval '1 ms'
