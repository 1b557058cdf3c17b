-- Deletes dead lanes whose node is missing, or gone for more than $1 milliseconds, once no saga and no wake refers to
-- them.
-- Called by: store/sweep.rs. Locks: lanes. Index: saga_lane, inbox_pkey.
delete from amends.lane l
where not l.live
  and not exists (select from amends.node n
                  where n.id = l.node and (n.gone_at is null
                                           or n.gone_at > amends.now() - $1::bigint * interval '1 ms'))
  and not exists (select from amends.saga g where g.lane = l.id)
  and not exists (select from amends.inbox i where i.lane = l.id)
