-- Says why rows of a batch were not written: whose row is there, or who used the key of a start.
-- $1, $2, $3 the rows; $4, $5, $6 definition, key and input of keyed starts, null for others.
-- Called by: store/commit.rs, after a conflict. Locks: none. Index: journal_pkey, start_key_pkey.
select u.id, j.lane, j.body = u.body as same_body, k.id as first, k.digest = amends.input_digest(u.input) as same_input
from unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::text[], $6::text[])
    as u (id, seq, body, definition, key, input)
left join lateral (
    select j.lane, j.body from amends.journal j where j.id = u.id and j.seq = u.seq
) j on true
left join lateral (
    select k.id, k.digest
    from amends.definition d join amends.start_key k on k.name = d.name
    where d.id = u.definition and k.key = u.key
) k on true
