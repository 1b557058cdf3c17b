-- Writes one row each of many sagas, and nothing around it: no fence, no check, no keys, no signals. What Postgres can do.
-- $1..$4 rows of the journal, $5 sagas that begin, $6 sagas that end; $7..$10 definition, lane, status and result of all.
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
