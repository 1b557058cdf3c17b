-- Writes the transitions of a batch, each of another saga, for lane $1; writes nothing if the lane is dead. Returns
-- the ids of the journal rows that were let in; everything else that it writes depends on these.
-- $2..$5 rows without a key; $6..$10 starts with an idempotency key and their rows, $28 the kinds of these rows, $31
-- the owners of the keys; $11..$13 sagas to create; $14, $15 new statuses, $27 what then needs attention; $16..$19 ends
-- (with the definition if the saga starts and ends in one row); $20..$23 answered signals; $24..$26 outbox; $29, $30
-- rows with a link.
-- Tables are looked up by arrays of keys and never joined, and a full join is always a hash join. So a plan that was
-- made while the tables were empty is still right when they are large.
--
-- The part of the statement between `-- [word` and `-- ]` is left out for batches that do not need it
-- (store/batch_statement.rs).
-- Called by: store/commit.rs, prepared by store/lane.rs; store/step_transaction.rs, prepared by store/session.rs.
-- Locks: the lane, start keys in order, saga rows of the lane. Index: journal_pkey, saga_pkey.
with fence as materialized (
    select l.id from amends.lane l where l.id = $1::bigint and l.live for update
-- [keyed
), keyed as (
    insert into amends.start_key (name, key, id, digest, at, owner)
    select d.name, k.key, k.id, amends.input_digest(k.input), amends.now(), k.owner
    from fence
    cross join unnest($6::uuid[], $7::int[], $8::text[], $9::text[], $31::text[])
        as k (id, definition, key, input, owner)
    cross join lateral (select d.name from amends.definition d where d.id = k.definition limit 1) d
    order by d.name, k.key
    on conflict (name, key) do nothing
    returning id
-- ]
), accepted as (
    insert into amends.journal (id, seq, lane, at, kind, body
-- [linked
        , link
-- ]
    )
    select t.id, t.seq, $1::bigint, amends.now(), t.kind, t.body
-- [linked
        , l.link
-- ]
    from (
        select u.id, u.seq, u.kind, u.body
        from fence cross join unnest($2::uuid[], $3::int[], $4::text[], $5::text[]) as u (id, seq, kind, body)
-- [keyed
        union all
        select k.id, 1, b.kind, b.body
        from keyed k join unnest($6::uuid[], $28::text[], $10::text[]) as b (id, kind, body) on b.id = k.id
-- ]
    ) t
-- [linked
    left join unnest($29::uuid[], $30::bytea[]) as l (id, link) on l.id = t.id
-- ]
    order by t.id, t.seq
    on conflict (id, seq) do nothing
    returning id
-- [created
), created as (
    insert into amends.saga (id, definition, status, lane, signals, started_at)
    select s.id, s.definition, s.status, $1::bigint, 0, amends.now()
    from accepted a join unnest($11::uuid[], $12::int[], $13::text[]) as s (id, definition, status) on s.id = a.id
    order by s.id
-- ]
-- [aside
), changed as (
    update amends.saga g
    set status = ($15::text[])[array_position($14::uuid[], g.id)],
        attention = ($27::text[])[array_position($14::uuid[], g.id)]
    where g.id = any (array (select a.id from accepted a where a.id = any ($14::uuid[]) order by a.id))
-- ]
-- [ended
), ended as materialized (
    select e.id, e.status, e.result, e.definition
    from accepted a
    join unnest($16::uuid[], $17::text[], $18::text[], $19::int[]) as e (id, status, result, definition) on e.id = a.id
), gone as (
    delete from amends.saga g where g.id = any (array (select e.id from ended e order by e.id))
    returning g.id, g.definition, g.signals, g.started_at
), done as (
    insert into amends.saga_done (id, definition, status, signals, started_at, ended_at, result)
    select e.id, coalesce(g.definition, e.definition), e.status, coalesce(g.signals, 0),
           coalesce(g.started_at, amends.now()), amends.now(), e.result
    from ended e full join gone g on g.id = e.id
    where g.id is not null or e.definition is not null
-- ]
-- [aside
), answered as (
    update amends.signal s
    set fate = ($22::text[])[array_position($20::uuid[], s.id)],
        answer = ($23::text[])[array_position($20::uuid[], s.id)]
    where s.id = any (array (select a.id from accepted a where a.id = any ($20::uuid[]) order by a.id))
      and s.n >= (select min(n) from unnest($21::bigint[]) n) and s.n <= (select max(n) from unnest($21::bigint[]) n)
      and s.n = ($21::bigint[])[array_position($20::uuid[], s.id)]
), told as (
    insert into amends.outbox (id, seq, at, body)
    select o.id, o.seq, amends.now(), o.body
    from accepted a join unnest($24::uuid[], $25::int[], $26::text[]) as o (id, seq, body) on o.id = a.id
    order by o.id
-- ]
)
select a.id from accepted a
