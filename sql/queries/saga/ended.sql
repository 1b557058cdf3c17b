-- Says of sagas $1 which are not live any more, and how they ended; null of one that is not known, or not any more.
-- Called by: store/read.rs. Locks: none. Index: saga_pkey, saga_done_pkey.
select u.id, d.status, d.result
from unnest($1::uuid[]) as u (id)
-- A limit, or a plan that was made when the table was empty walks over it.
left join lateral (
    select d.status, d.result from amends.saga_done d
    where d.id = u.id and d.ended_at >= amends.uuid_time(u.id) - interval '1 day' limit 1
) d on true
where (select g.id from amends.saga g where g.id = u.id) is null
