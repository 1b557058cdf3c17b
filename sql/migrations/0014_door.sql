-- The database door: names in functions mean what they meant when they were written, bounds of partitions, and what
-- forgetting needs.

-- An operator is looked up in the reader's search_path, and an exact match in any schema of it comes before the
-- operator of Postgres that needs a cast. So a login that may create in such a schema could run code with the rights
-- of a function's caller. The functions below are inlined, which a setting of their own would prevent: their names are
-- qualified. Every other function has a search_path of its own.

create or replace function amends.clock() returns timestamptz language sql volatile parallel safe as $$
    select amends.now() operator(pg_catalog.+) (pg_catalog.clock_timestamp() operator(pg_catalog.-) pg_catalog.now())
$$;

create or replace function amends.millis(at timestamptz) returns bigint language sql immutable parallel safe as $$
    select (extract(epoch from at) operator(pg_catalog.*) 1000)::bigint
$$;

create or replace function amends.uuid7() returns uuid language sql volatile parallel safe as $$
    select pg_catalog.encode(
        pg_catalog.set_bit(pg_catalog.set_bit(
            overlay(pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
                    placing substring(pg_catalog.int8send(
                        (extract(epoch from pg_catalog.clock_timestamp()) operator(pg_catalog.*) 1000)::bigint) from 3)
                    from 1 for 6),
            52, 1), 53, 1),
        'hex')::pg_catalog.uuid
$$;

create or replace function amends.uuid7(bucket int) returns uuid language sql volatile parallel safe as $$
    select pg_catalog.encode(
        overlay(pg_catalog.uuid_send(amends.uuid7())
                placing substring(pg_catalog.int4send(
                    28672 operator(pg_catalog.+) (uuid7.bucket operator(pg_catalog.<<) 2)
                          operator(pg_catalog.+) pg_catalog.floor(pg_catalog.random() operator(pg_catalog.*) 4)::int)
                    from 3)
                from 7 for 2),
        'hex')::pg_catalog.uuid
$$;

create or replace function amends.uuid_floor(at timestamptz) returns uuid language sql immutable parallel safe as $$
    select pg_catalog.rpad(pg_catalog.lpad(pg_catalog.to_hex(
        (extract(epoch from at) operator(pg_catalog.*) 1000)::bigint), 12, '0'), 32, '0')::pg_catalog.uuid
$$;

create or replace function amends.uuid_time(id uuid) returns timestamptz language sql immutable parallel safe as $$
    select pg_catalog.to_timestamp((
        'x' operator(pg_catalog.||) pg_catalog.substr(pg_catalog.replace(id::pg_catalog.text, '-', ''), 1, 12)
    )::bit(48)::bigint operator(pg_catalog./) 1000.0)
$$;

create or replace function amends.bucket(id uuid) returns int language sql immutable parallel safe as $$
    select ((pg_catalog.get_byte(pg_catalog.uuid_send(bucket.id), 6) operator(pg_catalog.&) 15)
            operator(pg_catalog.<<) 6)
           operator(pg_catalog.|) (pg_catalog.get_byte(pg_catalog.uuid_send(bucket.id), 7) operator(pg_catalog.>>) 2)
$$;

create or replace function amends.bucket_of_key(key text) returns int language sql immutable parallel safe as $$
    select ('x' operator(pg_catalog.||) pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(
        pg_catalog.convert_to(bucket_of_key.key, 'UTF8')), 'hex'), 3))::bit(12)::int operator(pg_catalog.>>) 2
$$;

-- Creates the partitions of the journal for this week and the next `weeks`, and of saga_done for today and the next
-- `days`, up to 60 of each. Returns how many are new. AM005: bad argument.
create or replace function amends.ensure_partitions(weeks int, days int) returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_made int := 0;
    v_week timestamp := date_trunc('week', amends.now() at time zone 'utc');
    v_day timestamp := date_trunc('day', amends.now() at time zone 'utc');
    v_low timestamp;
begin
    if (ensure_partitions.weeks between 0 and 60 and ensure_partitions.days between 0 and 60) is not true then
        raise exception 'expected 0 to 60 weeks and 0 to 60 days ahead, found % weeks and % days',
            coalesce(ensure_partitions.weeks::text, 'null'), coalesce(ensure_partitions.days::text, 'null')
            using errcode = 'AM005';
    end if;
    perform pg_advisory_xact_lock(4702111234474983746);
    for i in 0 .. ensure_partitions.weeks loop
        v_low := v_week + i * interval '1 week';
        v_made := v_made + amends.ensure_partition('journal', 'journal_' || to_char(v_low, 'YYYYMMDD'), 'id',
            amends.uuid_floor(v_low at time zone 'utc')::text,
            amends.uuid_floor((v_low + interval '1 week') at time zone 'utc')::text)::int;
    end loop;
    for i in 0 .. ensure_partitions.days loop
        v_low := v_day + i * interval '1 day';
        v_made := v_made + amends.ensure_partition('saga_done', 'saga_done_' || to_char(v_low, 'YYYYMMDD'), 'ended_at',
            (v_low at time zone 'utc')::text, ((v_low + interval '1 day') at time zone 'utc')::text)::int;
    end loop;
    return v_made;
end
$$;

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure
        from pg_catalog.pg_proc p
        where p.pronamespace = 'amends'::regnamespace and p.prokind = 'f'
          and not exists (select from unnest(p.proconfig) c (setting) where c.setting like 'search_path=%')
          and p.proname not in ('now', 'clock', 'millis', 'uuid7', 'uuid_floor', 'uuid_time', 'bucket',
                                'bucket_of_key')
    loop
        execute format('alter function %s set search_path = pg_catalog, pg_temp', v_function);
    end loop;
end
$$;

-- When the payloads of an ended saga were erased. Null: they are there.
alter table amends.saga_done add column erased_at timestamptz;

-- Sagas that ended in an hour are found by it, for the end of their retention. Rows come in this order, so an insert
-- writes nothing into it.
create index saga_done_ended_at on amends.saga_done using brin (ended_at);

-- Which definitions have sagas that ended on a day, for days that are over. A saga keeps its day until its retention
-- has passed. A walk over the day's rows, in order of the ids, fills the row in steps.
create table amends.ended_day (
    part         text    primary key,
    definitions  int[]   not null,
    -- How far the walk has come. Null: it is complete.
    walked       uuid,
    -- Up to which id the start keys of its sagas are deleted, before the day goes.
    unkeyed      uuid    not null default '00000000-0000-0000-0000-000000000000'
);

-- How far the payloads of each definition with a retention of its own are erased: those of all sagas that ended
-- before `erased_before`.
create table amends.redaction (
    definition     int         primary key,
    erased_before  timestamptz not null
);

-- What was erased by request: the asker, the time and the reason. No payload and no key is kept here.
create table amends.erasure (
    n                 bigint generated always as identity primary key,
    at                timestamptz not null,
    by                text        not null,
    application_name  text        not null,
    addr              inet,
    reason            text        not null,
    -- What was asked for: one saga, the saga of a start key, or a definition's sagas that ended before an instant.
    saga              uuid,
    by_key            boolean     not null,
    definition        text,
    before            timestamptz,
    -- How many sagas, and how many rows of them.
    sagas             bigint      not null,
    rows              bigint      not null
);

-- No function is for everybody; roles are granted what they need.
revoke all on all functions in schema amends from public;
