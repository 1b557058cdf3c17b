-- Keeps an access token: its public part $1, the caller's name $2, the digest of the secret $3, scopes $4, life $5 in
-- milliseconds (null: for ever).
-- Called by: store/access_token.rs. Locks: none. Index: access_token_pkey.
insert into amends.access_token (id, name, digest, scopes, created_at, expires_at)
values ($1::text, $2::text, $3::bytea, $4::text[], amends.now(), amends.now() + $5::bigint * interval '1 ms')
