-- Erases the payloads of ended sagas, for reason $1: of saga $2, of the saga that start key $3 of owner $8 began (of
-- definition $4, or of any), or of up to $7 sagas of definition $4 that ended before $5, and not before $6
-- (milliseconds; null: ever). Returns how many sagas were erased, how many have not ended, and until which end
-- everything is erased: in milliseconds, rounded down.
-- Called by: store/erase.rs. Locks: the rows of these sagas. Index: journal_pkey, saga_done_ended_at, start_key_pkey.
select e.sagas, e.running, amends.millis(case when isfinite(e.until) then e.until end) - 1 as until
from amends.erase($1::text, $2::uuid, $3::text, $4::text, to_timestamp($5::bigint / 1000.0),
                  coalesce(to_timestamp($6::bigint / 1000.0), '-infinity'), $7::int, $8::text) e
