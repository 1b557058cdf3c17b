-- Takes the wakes of lanes $1, up to $2 of each.
-- Called by: store/claim.rs. Locks: inbox rows (skip locked). Index: inbox_pkey.
with mine as materialized (
    select i.lane, i.n
    from unnest($1::bigint[]) as l (id)
    cross join lateral (
        select i.lane, i.n from amends.inbox i where i.lane = l.id order by i.n limit $2::bigint for update skip locked
    ) i
), taken as (
    delete from amends.inbox i
    where i.lane = any ($1::bigint[]) and i.n = any (array (select m.n from mine m))
      and i.n >= (select min(m.n) from mine m) and i.n <= (select max(m.n) from mine m)
    returning i.id
)
select distinct t.id from taken t
