-- Deletes throughput rows that are older than $1 milliseconds.
-- Called by: store/sweep.rs. Locks: rows of amends.passage. Index: passage_minute.
delete from amends.passage p where p.minute < amends.now() - $1::bigint * interval '1 ms'
