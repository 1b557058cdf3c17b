-- Registers a definition: $1 digest, $2 name, $3 draft. No row: it was there.
-- Called by: store/definition.rs. Locks: the digest's row. Index: definition_digest_key.
insert into amends.definition (digest, name, draft, created_at) values ($1::text, $2::text, $3::text, amends.now())
on conflict (digest) do nothing
returning id
