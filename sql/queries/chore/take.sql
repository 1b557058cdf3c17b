-- Takes the chores $2 for node $1 for $3 milliseconds: those that no node does, and those that this node does already.
-- Returns the chores that it has now.
-- Called by: store/chore.rs. Locks: the chores, in order. Index: chore_pkey.
insert into amends.chore as c (name, node, until)
select w.name, $1::bigint, amends.now() + $3::bigint * interval '1 ms'
from unnest($2::text[]) w (name)
order by w.name
on conflict (name) do update set node = excluded.node, until = excluded.until
    where c.node = excluded.node or c.until <= amends.now()
returning c.name
