-- Lets go of what is older than its retention, $1 milliseconds unless a definition says otherwise.
-- Called by: store/sweep.rs. Locks: the parents of what is dropped, shortly. Index: saga_pkey, the keys of saga_done.
select e.part from amends.expire($1::bigint) as e (part)
