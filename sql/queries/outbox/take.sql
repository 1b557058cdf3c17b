-- Takes up to $2 due events of the definitions $3 for node $1, which has $4 milliseconds to relay them; then they are
-- due again. Returns with them the first journal rows and the results of their sagas, if these still exist.
-- Called by: store/outbox.rs. Locks: outbox rows (skip locked).
-- Index: outbox_due, outbox_pkey, journal_pkey, saga_done_pkey.
with due as materialized (
    select o.n from amends.outbox o
    where o.due_at <= amends.now() and (o.body::json ->> 'definition')::int = any ($3::int[])
    order by o.due_at, o.n
    limit $2::bigint
    for update skip locked
), taken as (
    update amends.outbox o
    set node = $1::bigint, attempts = o.attempts + 1, due_at = amends.now() + $4::bigint * interval '1 ms'
    where o.n = any (array (select d.n from due d))
    returning o.n, o.id, o.seq, o.body, o.attempts
)
select t.n, t.id, t.seq, t.body, t.attempts,
       (select j.body from amends.journal j where j.id = t.id and j.seq = 1) as started,
       (select d.result from amends.saga_done d
        where d.id = t.id and d.ended_at >= amends.uuid_time(t.id) - interval '1 day' limit 1) as result
from taken t
order by t.n
