-- Asks $2 of saga $1, on behalf of $3 (null: the session's user); returns the number of the signal.
-- Called by: store/signal.rs. Locks: the saga's row. Index: saga_pkey.
select amends.request_as($3::text, $1::uuid, $2::text::json) as n
