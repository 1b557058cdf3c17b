-- Drops what is older than the longest retention of any definition; one without a retention counts as $1
-- milliseconds.
-- Called by: store/sweep.rs. Locks: the parents of the dropped partitions, briefly.
-- Index: saga_pkey, the keys of saga_done.
select e.part from amends.expire($1::bigint) as e (part)
