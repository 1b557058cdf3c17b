-- Records that the process behind node $1, which was declared dead, is alive: no saga that it tried has killed it.
-- Sagas that were set aside because of that death are ready again. For sagas that are held back, the trial no longer
-- counts. Returns how many were set aside.
-- Called by: store/quarantine.rs, when the process joins again. Locks: saga rows, unreadable, suspects.
-- Index: saga_lane, saga_pkey; the other tables are small.
with unmarked as (
    update amends.saga g set tried = false
    where g.lane = any (array (select l.id from amends.lane l where l.node = $1::bigint)) and g.tried
), back as (
    update amends.saga g set deaths = 0, tried = false
    where g.id = any (array (select u.id from amends.unreadable u where u.node = $1::bigint)) and g.lane is null
        and g.tried
    returning g.id, g.definition
), forgotten as (
    delete from amends.unreadable u where u.id = any (array (select b.id from back b))
), queued as (
    insert into amends.ready (definition, id) select b.definition, b.id from back b
), uncounted as (
    update amends.suspect s set trials = greatest(s.trials - 1, 0), node = null, convicted = false
        where s.node = $1::bigint
)
select count(*) as sagas from back b
