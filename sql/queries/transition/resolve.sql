-- Tells why rows of a batch were not let in: which row is in their place, or which saga used the key of a start. $1,
-- $2, $3 the rows; $4, $5, $6 definition, key and input of starts with a key, null for other rows.
-- Called by: store/commit.rs, after a conflict; store/step_transaction.rs, after a lost commit.
-- Locks: none. Index: journal_pkey, start_key_pkey.
select u.id, j.lane, j.body = u.body as same_body, k.id as first, k.digest = amends.input_digest(u.input) as same_input
from unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::text[], $6::text[])
    as u (id, seq, body, definition, key, input)
left join lateral (
    select j.lane, j.body from amends.journal j where j.id = u.id and j.seq = u.seq limit 1
) j on true
left join lateral (
    select d.name from amends.definition d where d.id = u.definition limit 1
) d on true
left join lateral (
    select k.id, k.digest from amends.start_key k where k.name = d.name and k.key = u.key limit 1
) k on true
