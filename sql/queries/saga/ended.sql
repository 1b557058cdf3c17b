-- Returns those of sagas $1 that are not live, and how they ended; null for a saga that is unknown or no longer kept.
-- Called by: store/read.rs. Locks: none. Index: saga_pkey, start_queue_pkey, saga_done_pkey.
select u.id, d.status, d.result
from unnest($1::uuid[]) as u (id)
-- Without the limit, a plan that was made while the table was empty walks over it.
left join lateral (
    select d.status, d.result from amends.saga_done d
    where d.id = u.id and d.ended_at >= amends.uuid_time(u.id) - interval '1 day' limit 1
) d on true
where (select g.id from amends.live_saga g where g.id = u.id limit 1) is null
