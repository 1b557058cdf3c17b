-- Lists the events of saga $1 that are not relayed yet.
-- Called by: store/outbox.rs. Locks: none. Index: outbox_id.
select o.n, o.body, o.attempts, o.error, amends.millis(o.at) as at,
       case when isfinite(o.due_at) then amends.millis(o.due_at) end as due_at
from amends.outbox o
where o.id = $1::uuid
order by o.n
