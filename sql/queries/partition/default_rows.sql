-- Counts rows, up to 1000, that lie in a default partition: ids from a clock far off.
-- Called by: store/sweep.rs. Locks: none. Index: none; the partitions are empty but for a fault.
select (select count(*) from (select from amends.journal_default limit 1000) j)
     + (select count(*) from (select from amends.saga_done_default limit 1000) d) as strays
