-- Asks to take saga $1 from its node, for reason $2; returns the number of the signal.
-- Called by: store/bulk.rs. Locks: the saga's row, its eviction. Index: saga_pkey, eviction_pkey.
select amends.evict($1::uuid, $2::text) as n
