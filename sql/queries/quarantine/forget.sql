-- Deletes suspects that have ended.
-- Called by: store/quarantine.rs, for store/sweep.rs. Locks: suspects. Index: saga_pkey; the table is small.
delete from amends.suspect s where (select g.id from amends.saga g where g.id = s.id) is null
