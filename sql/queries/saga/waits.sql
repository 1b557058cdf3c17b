-- Reads what saga $1 waits for on its node before it may begin, as of the node's last beat.
-- Called by: store/read.rs. Locks: none. Index: none; the table is small.
select w.step, w.direction, w.waits_for, amends.millis(w.since) as since from amends.waits w where w.saga = $1::uuid
