-- Erases the payloads of up to $1 ended sagas whose retention has passed; returns how many.
-- Called by: store/erase.rs. Locks: the rows of these sagas. Index: journal_pkey, saga_done_ended_at.
select amends.erase_expired($1::int) as erased
