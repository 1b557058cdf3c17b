-- Counts sagas by status.
-- Called by: store/read.rs. Locks: none. Index: none; reads every live saga and every kept ended one.
select g.status, count(*) as sagas from amends.live_saga g group by g.status
union all
select g.status, count(*) from amends.saga_done g group by g.status
