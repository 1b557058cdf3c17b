-- Lists the sagas of the lanes $1. (Materialized; else the planner may walk over all sagas in order of id.)
-- Called by: store/claim.rs, after a claim whose answer was lost, and from time to time. Locks: none. Index: saga_lane.
with mine as materialized (
    select g.id, g.lane, g.definition, g.status = 'stuck' as stuck, g.signals, g.deaths from amends.saga g
        where g.lane = any ($1::bigint[])
)
select m.id, m.lane, m.definition, m.stuck, m.signals, m.deaths from mine m order by m.id
