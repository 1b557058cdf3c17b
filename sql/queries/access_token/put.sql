-- Stores an access token: $1 public part, $2 caller's name, $3 digest of the secret, $4 scopes, $5 life in
-- milliseconds (null: for ever). Returns when it expires.
-- Called by: store/access_token.rs. Locks: none. Index: access_token_pkey.
insert into amends.access_token (id, name, digest, scopes, created_at, expires_at)
values ($1::text, $2::text, $3::bytea, $4::text[], amends.now(), amends.now() + $5::bigint * interval '1 ms')
returning amends.millis(expires_at) as expires_at
