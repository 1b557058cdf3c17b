-- Forgets what passed more than $1 milliseconds ago.
-- Called by: store/sweep.rs. Locks: rows of amends.passage. Index: passage_minute.
delete from amends.passage p where p.minute < amends.now() - $1::bigint * interval '1 ms'
