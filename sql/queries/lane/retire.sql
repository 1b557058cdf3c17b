-- Takes lane $1, whose actors are gone, out of service while its node lives. The next sweep hands its sagas to other
-- lanes.
-- Called by: store/node.rs, when another lane takes its place. Locks: the lane. Index: lane_pkey.
update amends.lane l set live = false where l.id = $1::bigint and l.live
