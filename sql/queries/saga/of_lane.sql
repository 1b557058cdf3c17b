-- Reads saga $2 if lane $1 owns it. (`is not distinct from` keeps the planner from using the index of lanes.)
-- Called by: store/claim.rs, when its actor is gone. Locks: none. Index: saga_pkey.
select g.id, g.definition, g.status = 'stuck' as stuck, g.signals, g.deaths
from amends.saga g
where g.id = $2::uuid and g.lane is not distinct from $1::bigint
