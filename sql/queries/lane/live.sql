-- Whether lane $1 is live; waits for whoever holds it.
-- Called by: store/lane.rs, when a batch wrote nothing. Locks: the lane. Index: lane_pkey.
select l.id from amends.lane l where l.id = $1::bigint and l.live for update
