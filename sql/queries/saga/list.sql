-- Lists up to $4 sagas, newest first. Each filter holds only if it is given: ids before $3; status $1; definition $2;
-- visible sagas, which are those of the definitions $6 and those that a key of $5 started.
-- Called by: store/read.rs. Locks: none. Index: saga_pkey, start_queue_pkey, saga_done_pkey, waiting_id, start_key_id.
with live as (
    select g.id, g.definition, d.name, d.digest, g.status, g.lane, g.signals, g.started_at,
           null::timestamptz as ended_at
    from amends.live_saga g
    join amends.definition d on d.id = g.definition
    where ($1::text is null or g.status = $1) and ($2::text is null or d.name = $2)
      and g.id < coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
      and ($5::text is null or d.name = any ($6::text[])
           or exists (select from amends.start_key k where k.id = g.id and amends.key_owner(k.owner, k.key) = $5::text))
    order by g.id desc
    limit $4::bigint
), done as (
    select g.id, g.definition, d.name, d.digest, g.status, null::bigint as lane, g.signals, g.started_at, g.ended_at
    from amends.saga_done g
    join amends.definition d on d.id = g.definition
    where ($1::text is null or g.status = $1) and ($2::text is null or d.name = $2)
      and g.id < coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
      and ($5::text is null or d.name = any ($6::text[])
           or exists (select from amends.start_key k where k.id = g.id and amends.key_owner(k.owner, k.key) = $5::text))
    order by g.id desc
    limit $4::bigint
), every as (
    select v.* from live v union all select o.* from done o
)
select e.id, e.definition, e.name, e.digest, e.status, e.lane, l.node, e.signals,
       amends.millis(e.started_at) as started_at, amends.millis(e.ended_at) as ended_at, null::text as result,
       (select amends.millis(t.fire_at) from amends.timer t where t.id = e.id and isfinite(t.fire_at)) as wake_at,
       -- Without the limits, a plan that was made while these tables were empty walks over them.
       (select t.holder
        from (select w.name, w.key from amends.waiting w where w.id = e.id and e.status = 'queued' limit 1) w
        cross join lateral (
            select t.holder from amends.turn t where t.name = w.name and t.key = w.key limit 1
        ) t) as behind
from every e
left join amends.lane l on l.id = e.lane
order by e.id desc
limit $4::bigint
