-- Lists lanes that own sagas though they are dead or missing; one index probe for each owning lane.
-- Called by: store/sweep.rs. Locks: none. Index: saga_lane, lane_pkey.
with recursive owning as (
    (select g.lane from amends.saga g where g.lane is not null order by g.lane limit 1)
    union all
    select (select g.lane from amends.saga g where g.lane > o.lane order by g.lane limit 1)
    from owning o where o.lane is not null
)
select o.lane from owning o
where o.lane is not null and not exists (select from amends.lane l where l.id = o.lane and l.live)
