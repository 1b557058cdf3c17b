-- Asks something of saga $1.
-- Called by: store/signal.rs. Locks: the saga's row. Index: saga_pkey.
select amends.request($1::uuid, $2::text::json) as n
