-- Raises the virtual times of definitions $1 and priorities $2 to the tags $3, unless they are there already. Leaves
-- times that another node raises just now.
-- Called by: store/virtual_time.rs. Locks: virtual times (skip locked). Index: virtual_time_pkey.
with come as materialized (
    select u.definition, u.priority, u.tag
    from unnest($1::int[], $2::smallint[], $3::bigint[]) as u (definition, priority, tag)
), held as materialized (
    select t.definition, t.priority
    from amends.virtual_time t
    where t.definition = any ($1::int[]) and t.priority = any ($2::smallint[])
    order by t.definition, t.priority
    for update skip locked
), raised as (
    update amends.virtual_time t
    set tag = c.tag
    from come c
    where t.definition = c.definition and t.priority = c.priority and t.tag < c.tag
      and (t.definition, t.priority) in (select h.definition, h.priority from held h)
)
insert into amends.virtual_time (definition, priority, tag)
select c.definition, c.priority, c.tag from come c
where not exists (select from amends.virtual_time t where t.definition = c.definition and t.priority = c.priority)
on conflict (definition, priority) do nothing
