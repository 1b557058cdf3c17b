-- Reads when the payloads of saga $1 were erased; no row if they were not.
-- Called by: store/erase.rs. Locks: none. Index: saga_done_pkey.
select amends.millis(d.erased_at) as erased_at
from amends.saga_done d
where d.id = $1::uuid and d.ended_at >= amends.uuid_time($1::uuid) - interval '1 day' and d.erased_at is not null
