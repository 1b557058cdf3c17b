-- Counts the rows in default partitions, up to 1000 in each: their ids come from a clock that is far off.
-- Called by: store/sweep.rs. Locks: none. Index: none; the partitions are empty unless there is a fault.
select (select count(*) from (select from amends.journal_default limit 1000) j)
     + (select count(*) from (select from amends.saga_done_default limit 1000) d) as strays
