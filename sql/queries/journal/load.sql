-- Reads the journals of sagas $1. (Without `offset 0` the planner may join with the whole journal.)
-- Called by: store/read.rs, after a claim in a later statement. Locks: none. Index: journal_pkey.
select j.id, j.seq, j.lane, amends.millis(j.at) as at, j.kind, j.body, j.link
from unnest($1::uuid[]) as u (id)
cross join lateral (
    select j.id, j.seq, j.lane, j.at, j.kind, j.body, j.link from amends.journal j where j.id = u.id offset 0
) j
order by j.id, j.seq
