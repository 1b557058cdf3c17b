-- Registers a definition: $1 digest, $2 name, $3 draft, $4 path to its concurrency key. No row: it exists already.
-- Called by: store/definition.rs. Locks: the digest's row. Index: definition_digest_key.
insert into amends.definition (digest, name, draft, concurrency, created_at)
values ($1::text, $2::text, $3::text, $4::text[], amends.now())
on conflict (digest) do nothing
returning id
