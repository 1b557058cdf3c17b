-- Reads the signals of sagas $1, each after number $2. (Without `offset 0` the planner may join with all signals.)
-- Called by: store/signal.rs. Locks: none. Index: signal_pkey.
select s.id, s.n, amends.millis(s.at) as at, s.by, s.application_name, host(s.addr) as addr, s.request, s.fate, s.answer
from unnest($1::uuid[], $2::bigint[]) as u (id, seen)
cross join lateral (
    select s.id, s.n, s.at, s.by, s.application_name, s.addr, s.request, s.fate, s.answer
    from amends.signal s
    where s.id = u.id and s.n > u.seen
    offset 0
) s
order by s.id, s.n
