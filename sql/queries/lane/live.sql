-- Returns lane $1 if it is live; waits for a transaction that holds it.
-- Called by: store/commit.rs, when a batch wrote nothing or is split; store/step_transaction.rs, after a lost commit.
-- Locks: the lane. Index: lane_pkey.
select l.id from amends.lane l where l.id = $1::bigint and l.live for update
