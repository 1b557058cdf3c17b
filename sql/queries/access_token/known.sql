-- Returns whether there is an access token, and whether there is one that is neither expired nor revoked.
-- Called by: store/access_token.rs. Locks: none. Index: none; the first row answers, or the table is small.
select exists (select from amends.access_token) as any,
       exists (select from amends.access_token t
               where t.revoked_at is null and coalesce(t.expires_at > amends.now(), true)) as live
