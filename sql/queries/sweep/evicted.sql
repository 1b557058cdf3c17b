-- Deletes evictions that are done.
-- Called by: store/sweep.rs. Locks: evictions (skip locked). Index: saga_pkey; the table is small.
with past as materialized (
    select e.id from amends.eviction e
    where (select g.lane from amends.saga g where g.id = e.id) is distinct from e.lane
    for update of e skip locked
)
delete from amends.eviction e where e.id = any (array (select p.id from past p))
