-- Records that sagas $2 of lane $1 killed no process: they are suspects no longer. This also clears sagas that were
-- parked or have ended since then. It does not clear sagas that another lane has, or that are held back.
-- Called by: store/quarantine.rs. Locks: saga rows, then suspects. Index: saga_pkey, suspect_pkey.
with acquitted as (
    update amends.saga g set deaths = 0, tried = false
    where g.id = any ($2::uuid[]) and (g.lane is not distinct from $1::bigint or g.lane is null and not g.tried)
)
delete from amends.suspect s
where s.id = any ($2::uuid[])
  and not coalesce((select g.lane <> $1::bigint or g.lane is null and g.tried from amends.saga g where g.id = s.id),
      false)
