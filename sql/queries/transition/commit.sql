-- Writes the transitions of a batch, each of another saga, for lane $1; nothing at all if the lane is dead.
-- $2..$5 rows without a key; $6..$10 starts with an idempotency key and their rows; $11..$13 sagas to create; $14, $15 new
-- statuses; $16..$19 ends (with the definition if the saga starts and ends in one row); $20..$23 answered signals; $24..$26
-- outbox. Returns the ids of the rows that were written; the rest hangs on these.
-- Called by: store/commit.rs. Locks: the lane, start keys in order, saga rows of the lane. Index: journal_pkey, saga_pkey.
with fence as materialized (
    select l.id from amends.lane l where l.id = $1::bigint and l.live for update
), keyed as (
    insert into amends.start_key (name, key, id, digest, at)
    select d.name, k.key, k.id, amends.input_digest(k.input), amends.now()
    from fence
    cross join unnest($6::uuid[], $7::int[], $8::text[], $9::text[]) as k (id, definition, key, input)
    join amends.definition d on d.id = k.definition
    order by d.name, k.key
    on conflict (name, key) do nothing
    returning id
), accepted as (
    insert into amends.journal (id, seq, lane, at, kind, body)
    select t.id, t.seq, $1::bigint, amends.now(), t.kind, t.body
    from (
        select u.id, u.seq, u.kind, u.body
        from fence cross join unnest($2::uuid[], $3::int[], $4::text[], $5::text[]) as u (id, seq, kind, body)
        union all
        select k.id, 1, 'started', b.body
        from keyed k join unnest($6::uuid[], $10::text[]) as b (id, body) on b.id = k.id
    ) t
    order by t.id, t.seq
    on conflict (id, seq) do nothing
    returning id
), created as (
    insert into amends.saga (id, definition, status, lane, signals, started_at)
    select s.id, s.definition, s.status, $1::bigint, 0, amends.now()
    from accepted a join unnest($11::uuid[], $12::int[], $13::text[]) as s (id, definition, status) on s.id = a.id
    order by s.id
), changed as (
    update amends.saga g set status = s.status
    from (
        select s.id, s.status from accepted a join unnest($14::uuid[], $15::text[]) as s (id, status) on s.id = a.id
        order by s.id
    ) s
    where g.id = s.id
), ended as materialized (
    select e.id, e.status, e.result, e.definition
    from accepted a
    join unnest($16::uuid[], $17::text[], $18::text[], $19::int[]) as e (id, status, result, definition) on e.id = a.id
    order by e.id
), gone as (
    delete from amends.saga g using ended e where g.id = e.id
    returning g.id, g.definition, e.status, g.signals, g.started_at, e.result
), done as (
    insert into amends.saga_done (id, definition, status, signals, started_at, ended_at, result)
    select g.id, g.definition, g.status, g.signals, g.started_at, amends.now(), g.result from gone g
    union all
    select e.id, e.definition, e.status, 0, amends.now(), amends.now(), e.result
    from ended e where e.definition is not null
), answered as (
    update amends.signal s set fate = f.fate, answer = f.answer
    from (
        select f.id, f.n, f.fate, f.answer
        from accepted a
        join unnest($20::uuid[], $21::bigint[], $22::text[], $23::text[]) as f (id, n, fate, answer) on f.id = a.id
        order by f.id, f.n
    ) f
    where s.id = f.id and s.n = f.n
), told as (
    insert into amends.outbox (id, seq, at, body)
    select o.id, o.seq, amends.now(), o.body
    from accepted a join unnest($24::uuid[], $25::int[], $26::text[]) as o (id, seq, body) on o.id = a.id
    order by o.id
)
select a.id from accepted a
