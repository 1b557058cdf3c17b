-- Counts the events that are not relayed yet, $1 at most, and returns the age of the oldest in milliseconds.
-- Called by: store/outbox.rs. Locks: none. Index: outbox_pkey.
select (select count(*) from (select from amends.outbox o limit $1::bigint) c) as events,
       coalesce((select amends.millis(amends.now()) - amends.millis(o.at) from amends.outbox o order by o.n limit 1),
           0) as age_ms
