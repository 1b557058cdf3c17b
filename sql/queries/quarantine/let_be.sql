-- Ends a trial of saga $2 of lane $1 that showed nothing: a death of this process no longer counts, earlier trials
-- still do. $3: the journal was read, so reading it killed no process.
-- Called by: store/quarantine.rs. Locks: the saga row. Index: saga_pkey.
update amends.saga g set tried = false, deaths = case when $3::boolean then 0 else g.deaths end
where g.id = $2::uuid and g.lane is not distinct from $1::bigint
