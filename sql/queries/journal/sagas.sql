-- Lists up to $5 sagas after id $1, in order: those that were started from $2 until before $3 (milliseconds; null:
-- ever), of definition $4 (null: of all). Without a definition, also those whose journal is all that there is. A saga
-- that waits for a node has no journal, and is left out.
-- Called by: store/verify.rs. Locks: none. Index: saga_pkey, saga_done_pkey, journal_pkey.
with recursive bounds as materialized (
    select greatest($1::uuid, amends.uuid_floor(to_timestamp(coalesce($2::bigint, 0) / 1000.0))) as low,
           coalesce(amends.uuid_floor(to_timestamp($3::bigint / 1000.0)),
                    'ffffffff-ffff-ffff-ffff-ffffffffffff') as high,
           array(select d.id from amends.definition d where $4::text is null or d.name = $4) as definitions
), kept (id, n) as (
    -- Each step takes the next saga of the journal: one look into the index, however many rows it has.
    select (select j.id from amends.journal j
            where j.id > (select b.low from bounds b) and j.id < (select b.high from bounds b)
            order by j.id limit 1), 1
    where $4::text is null
    union all
    select (select j.id from amends.journal j
            where j.id > k.id and j.id < (select b.high from bounds b)
            order by j.id limit 1), k.n + 1
    from kept k
    where k.id is not null and k.n < $5::bigint
)
select u.id
from (
    (select g.id from amends.saga g
     where g.id > (select b.low from bounds b) and g.id < (select b.high from bounds b)
       and g.definition = any ((select b.definitions from bounds b)::int[]) and g.status <> 'queued'
     order by g.id limit $5::bigint)
    union
    (select g.id from amends.saga_done g
     where g.id > (select b.low from bounds b) and g.id < (select b.high from bounds b)
       and g.definition = any ((select b.definitions from bounds b)::int[])
     order by g.id limit $5::bigint)
    union
    select k.id from kept k where k.id is not null
) u
order by u.id
limit $5::bigint
