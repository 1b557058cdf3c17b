-- Says that the process lives which was node $1 and was taken for dead: it has died of nothing that it tried. What was put aside
-- because of that may be taken again; of what is held back the trial counts for nothing. Returns how many were put aside.
-- Called by: store/quarantine.rs, when it joins again. Locks: saga rows, unreadable, suspects. Index: saga_lane, saga_pkey; the other
-- tables are small.
with unmarked as (
    update amends.saga g set tried = false
    where g.lane = any (array (select l.id from amends.lane l where l.node = $1::bigint)) and g.tried
), back as (
    update amends.saga g set deaths = 0, tried = false
    where g.id = any (array (select u.id from amends.unreadable u where u.node = $1::bigint)) and g.lane is null and g.tried
    returning g.id, g.definition
), forgotten as (
    delete from amends.unreadable u where u.id = any (array (select b.id from back b))
), queued as (
    insert into amends.ready (definition, id) select b.definition, b.id from back b
), uncounted as (
    update amends.suspect s set trials = greatest(s.trials - 1, 0), node = null, convicted = false where s.node = $1::bigint
)
select count(*) as sagas from back b
