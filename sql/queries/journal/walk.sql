-- Reads up to $3 rows of the journal of saga $1 after row $2, in order.
-- Called by: store/verify.rs. Locks: none. Index: journal_pkey.
select j.id, j.seq, j.lane, amends.millis(j.at) as at, j.kind, j.body, j.link
from amends.journal j
where j.id = $1::uuid and j.seq > $2::int
order by j.seq
limit $3::bigint
