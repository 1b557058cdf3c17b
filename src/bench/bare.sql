-- Writes one row of each of many sagas with nothing around it: no fence, check, key or signal. Postgres can do no more.
-- $1..$4 journal rows, $5 sagas that begin, $6 sagas that end; $7..$10 definition, lane, status, result of all sagas.
with written as (
    insert into amends.journal (id, seq, lane, at, kind, body)
    select u.id, u.seq, $8::bigint, now(), u.kind, u.body
    from unnest($1::uuid[], $2::int[], $3::text[], $4::text[]) as u (id, seq, kind, body)
), begun as (
    insert into amends.saga (id, definition, status, lane, signals, started_at)
    select u.id, $7::int, 'running', $8::bigint, 0, now() from unnest($5::uuid[]) as u (id)
), gone as (
    delete from amends.saga g where g.id = any ($6::uuid[])
)
insert into amends.saga_done (id, definition, status, signals, started_at, ended_at, result)
select u.id, $7::int, $9::text, 0, now(), now(), $10::text from unnest($6::uuid[]) as u (id)
