-- Lists up to $4 sagas with status $1, which is paused or stuck, newest first. Each filter holds only if it is given:
-- ids before $3; definition $2; visible sagas, which are those of the definitions $6 and those that a key of
-- $5 started. The statuses are literals, so that the partial index of the few halted sagas is used.
-- Called by: store/read.rs. Locks: none. Index: saga_halted, start_key_id.
select g.id, g.definition, d.name, d.digest, g.status, g.lane, l.node, g.signals,
       amends.millis(g.started_at) as started_at, null::bigint as ended_at, null::text as result,
       (select amends.millis(t.fire_at) from amends.timer t where t.id = g.id and isfinite(t.fire_at)) as wake_at,
       null::uuid as behind
from amends.saga g
join amends.definition d on d.id = g.definition
left join amends.lane l on l.id = g.lane
where g.status in ('paused', 'stuck') and g.status = $1::text
  and ($2::text is null or d.name = $2)
  and g.id < coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  and ($5::text is null or d.name = any ($6::text[])
       or exists (select from amends.start_key k where k.id = g.id and amends.key_owner(k.owner, k.key) = $5::text))
order by g.id desc
limit $4::bigint
