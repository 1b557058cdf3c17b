-- Asks something of saga $1, for $3 (null: for the session's user).
-- Called by: store/signal.rs. Locks: the saga's row. Index: saga_pkey.
select amends.request_as($3::text, $1::uuid, $2::text::json) as n
