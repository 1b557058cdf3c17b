-- Reads the access token with the public part $1, or all (null), oldest first.
-- Called by: store/access_token.rs. Locks: none. Index: access_token_pkey.
select t.id, t.name, t.digest, t.scopes, amends.millis(t.created_at) as created_at,
       amends.millis(t.expires_at) as expires_at, amends.millis(t.revoked_at) as revoked_at,
       t.revoked_at is null and coalesce(t.expires_at > amends.now(), true) as live
from amends.access_token t
where $1::text is null or t.id = $1::text
order by t.created_at, t.id
