-- Asks $1 of up to $6 sagas of definitions named $2 with status $4, for reason $3. Only sagas that were started
-- before $5 (milliseconds; null: all). Spreads the wakes of parked sagas over $7 milliseconds. $8: a retry uses a new
-- key. Returns how many were asked.
-- Called by: store/bulk.rs. Locks: the sagas' rows (skip locked). Index: saga_halted or saga_pkey.
select amends.bulk($1::text, $2::text, $3::text, $4::text,
                   coalesce(to_timestamp($5::bigint / 1000.0), 'infinity'), $6::int, $7::bigint * interval '1 ms',
                   $8::boolean) as asked
