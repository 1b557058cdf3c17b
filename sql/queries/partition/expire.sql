-- Drops days of ended sagas that are past the retention of the definitions on them, and weeks of the journal
-- whose sagas are all gone; a definition without a retention counts as $1 milliseconds.
-- Called by: store/sweep.rs. Locks: the parents of the dropped partitions, briefly.
-- Index: saga_pkey, the keys of saga_done, start_key_id.
select e.part from amends.expire($1::bigint) as e (part)
