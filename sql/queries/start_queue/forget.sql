-- Deletes those of the first $3 starts in the queue, of the definitions $1 with numbers above $2, whose saga has begun.
-- The same start came twice at the same time, under an id that its caller gave: a lane took the one, and the other went
-- to the queue. Returns how many.
-- Called by: store/claim.rs, after start_queue/take.sql met a row that exists.
-- Locks: starts in the queue (skip locked). Index: start_queue_order, saga_pkey, journal_pkey.
with chosen as materialized (
    select s.id
    from unnest($1::int[], $2::bigint[]) as d (definition, low)
    cross join lateral (
        select s.id
        from amends.start_queue s
        where s.definition = d.definition and s.n > d.low and s.n > 0
        order by s.n
        limit $3::bigint
        for update skip locked
    ) s
    limit $3::bigint
), gone as (
    delete from amends.start_queue s
    where s.id = any (array (
        select c.id from chosen c
        where (select g.id from amends.saga g where g.id = c.id) is not null
           or (select j.id from amends.journal j where j.id = c.id and j.seq = 1) is not null))
    returning s.id
)
select count(*) as forgotten from gone
