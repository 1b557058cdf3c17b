-- Asks that saga $1 be taken from the node that has it, for reason $2.
-- Called by: store/bulk.rs. Locks: the saga's row, its eviction. Index: saga_pkey, eviction_pkey.
select amends.evict($1::uuid, $2::text) as n
