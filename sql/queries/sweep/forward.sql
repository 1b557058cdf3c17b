-- Moves wakes from the inboxes of dead or missing lanes to where any node may take them. Always, each sweep: a wake may
-- be put into an inbox just after its lane died.
-- Called by: store/sweep.rs. Locks: inbox rows. Index: inbox_pkey, lane_pkey.
with moved as (
    delete from amends.inbox i
    where not exists (select from amends.lane l where l.id = i.lane and l.live)
    returning i.id, i.definition
), queued as (
    insert into amends.ready (definition, id) select distinct m.definition, m.id from moved m
)
select count(*) as wakes from moved m
