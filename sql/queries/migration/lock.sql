-- Lets one starter migrate at a time; ends with the transaction, so that nothing is stranded behind a pooler.
-- Called by: store/migrate.rs. Locks: the advisory key of amends' migrations. Index: none.
select pg_advisory_xact_lock(4702111234474983745)
