-- Lets one starter migrate at a time. The lock ends with the transaction, so none is left behind in a pooler's
-- session.
-- Called by: store/migrate.rs. Locks: the advisory key of amends' migrations. Index: none.
select pg_advisory_xact_lock(4702111234474983745)
