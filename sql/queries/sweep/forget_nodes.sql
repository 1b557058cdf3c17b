-- Deletes nodes that are gone for more than $1 milliseconds and have no lane left.
-- Called by: store/sweep.rs. Locks: nodes. Index: none; both tables are small.
delete from amends.node n
where n.gone_at < amends.now() - $1::bigint * interval '1 ms'
  and not exists (select from amends.lane l where l.node = n.id)
