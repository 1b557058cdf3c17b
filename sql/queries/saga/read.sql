-- Reads one saga, live or ended.
-- Called by: store/read.rs. Locks: none. Index: saga_pkey, start_queue_pkey, saga_done_pkey, waiting_id.
select g.id, g.definition, d.name, d.digest, g.status, g.lane, l.node, g.signals,
       amends.millis(g.started_at) as started_at, null::bigint as ended_at, null::text as result,
       (select amends.millis(t.fire_at) from amends.timer t where t.id = g.id and isfinite(t.fire_at)) as wake_at,
       -- Without the limits, a plan that was made while these tables were empty walks over them.
       (select t.holder
        from (select w.name, w.key from amends.waiting w where w.id = g.id and g.status = 'queued' limit 1) w
        cross join lateral (
            select t.holder from amends.turn t where t.name = w.name and t.key = w.key limit 1
        ) t) as behind
from amends.live_saga g
join amends.definition d on d.id = g.definition
left join amends.lane l on l.id = g.lane
where g.id = $1::uuid
union all
select g.id, g.definition, d.name, d.digest, g.status, null, null, g.signals,
       amends.millis(g.started_at), amends.millis(g.ended_at), g.result, null, null
from amends.saga_done g
join amends.definition d on d.id = g.definition
where g.id = $1::uuid and g.ended_at >= amends.uuid_time($1::uuid) - interval '1 day'
