-- Lists the sagas of lane $1.
-- Called by: store/work.rs, after a claim whose answer was lost. Locks: none. Index: saga_lane.
select g.id, g.definition, g.status, g.signals from amends.saga g where g.lane = $1::bigint order by g.id
