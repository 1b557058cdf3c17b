-- Revokes access token $1; returns it if it exists. The first time of revocation stays.
-- Called by: store/access_token.rs. Locks: the token. Index: access_token_pkey.
update amends.access_token t set revoked_at = coalesce(t.revoked_at, amends.now()) where t.id = $1::text returning t.id
