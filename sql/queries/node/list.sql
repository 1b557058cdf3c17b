-- Lists the nodes that are not gone.
-- Called by: store/node.rs. Locks: none. Index: none; the table is small.
select n.id, n.name, n.version, amends.millis(n.joined_at) as joined_at, amends.millis(n.beat_at) as beat_at,
       n.beat_at >= amends.now() - n.ttl_ms * interval '1 ms' as alive
from amends.node n where n.gone_at is null order by n.id
