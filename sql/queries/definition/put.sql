-- Registers a definition: $1 digest, $2 name, $3 draft, and what a start evaluates: $4 path to its concurrency key,
-- $5 priority, $6 fairness, $7 and $8 quota. No row: it exists already.
-- Called by: store/definition.rs. Locks: the digest's row. Index: definition_digest_key.
insert into amends.definition (digest, name, draft, concurrency, priority, fairness, quota_live, quota_bytes,
                               created_at)
values ($1::text, $2::text, $3::text, $4::text[], $5::text[], $6::text[], $7::bigint, $8::bigint, amends.now())
on conflict (digest) do nothing
returning id
