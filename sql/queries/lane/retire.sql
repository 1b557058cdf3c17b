-- Takes lane $1 out of service, whose actors are gone though its node lives: what it owns goes to others with the next sweep.
-- Called by: store/node.rs, when another lane takes its place. Locks: the lane. Index: lane_pkey.
update amends.lane l set live = false where l.id = $1::bigint and l.live
