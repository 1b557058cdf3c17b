-- Reads the signals of sagas $1, each after number $2.
-- Called by: store/signal.rs. Locks: none. Index: signal_pkey.
select s.id, s.n, amends.millis(s.at) as at, s.by, s.application_name, host(s.addr) as addr, s.request, s.fate, s.answer
from unnest($1::uuid[], $2::bigint[]) as u (id, seen)
join amends.signal s on s.id = u.id and s.n > u.seen
order by s.id, s.n
