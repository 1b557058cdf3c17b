-- The clock, ids, partitions, and the two doors for everybody else: amends.start and amends.request.

-- The clock of everything that amends stores. STABLE, so that it can be the bound of an index scan; a test may replace it
-- by another STABLE function in order to drive time.
create function amends.now() returns timestamptz language sql stable parallel safe as $$ select pg_catalog.now() $$;

-- Milliseconds since the Unix epoch, as events carry them.
create function amends.millis(at timestamptz) returns bigint language sql immutable parallel safe
as $$ select (extract(epoch from at) * 1000)::bigint $$;

-- A UUIDv7 by the server's clock.
create function amends.uuid7() returns uuid language sql volatile parallel safe as $$
    select encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
                    from 1 for 6),
            52, 1), 53, 1),
        'hex')::uuid
$$;

-- The smallest id that could have been made at that instant.
create function amends.uuid_floor(at timestamptz) returns uuid language sql immutable parallel safe as $$
    select rpad(lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;

-- The instant in a UUIDv7.
create function amends.uuid_time(id uuid) returns timestamptz language sql immutable parallel safe as $$
    select to_timestamp(('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0)
$$;

-- Digest by which two inputs under one key are compared: as parsed JSON, so key order, white space and the form of a number
-- (1, 1.0, 1e0) do not count. A value that is JSON but that jsonb cannot hold (a NUL character, a number out of range,
-- depth) is compared as it was written.
create function amends.input_digest(input text) returns bytea language plpgsql immutable as $$
declare
    v_text text;
begin
    v_text := input::jsonb::text;
    -- jsonb keeps the zeros at the end of a fraction. The first branch steps over strings as they are.
    if position('.' in v_text) > 0 then
        v_text := regexp_replace(v_text, '("(?:[^"\\]|\\.)*")|(\.[0-9]*[1-9])0+|\.0+', '\1\2', 'g');
    end if;
    return sha256(convert_to(v_text, 'UTF8'));
exception when data_exception or program_limit_exceeded or statement_too_complex then
    return sha256(convert_to(input, 'UTF8'));
end
$$;

-- Starts a saga as amends.start does, under an id that the caller chose (null: a fresh one): another id comes back when the
-- key had started a saga before, so that the caller learns whether it was this start.
create function amends.start_as(id uuid, definition text, input json, key text default null, traceparent text default null)
returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_definition int;
    v_path text[];
    v_turn text;
    v_id uuid := coalesce(start_as.id, amends.uuid7());
    v_digest bytea;
    v_first amends.start_key;
    -- What follows the input in the first row of the journal.
    v_further text := '';
begin
    if start_as.traceparent is not null then
        if start_as.traceparent !~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'
           or start_as.traceparent ~ '^00-0{32}|-0{16}-' then
            raise exception 'expected a traceparent such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, found %',
                quote_literal(left(start_as.traceparent, 100)) using errcode = 'AM005';
        end if;
        v_further := ',"traceparent":"' || start_as.traceparent || '"';
    end if;
    if start_as.definition is null or start_as.input is null then
        raise exception 'expected a definition and an input, found null' using errcode = 'AM005';
    end if;
    if octet_length(start_as.input::text) > 1048576 then
        raise exception 'expected an input of at most 1048576 bytes, found %', octet_length(start_as.input::text)
            using errcode = 'AM005';
    end if;
    if octet_length(start_as.key) not between 1 and 512 then
        raise exception 'expected a key of 1 to 512 bytes, found %', octet_length(start_as.key) using errcode = 'AM005';
    end if;
    select d.id, d.concurrency into v_definition, v_path
    from amends.current_definition c join amends.definition d on d.id = c.definition
    where c.name = start_as.definition;
    if not found then
        raise exception 'expected the name of a registered definition, found %', quote_literal(start_as.definition)
            using errcode = 'AM003', hint = 'A node registers its definitions when it starts.';
    end if;
    if start_as.key is not null then
        v_digest := amends.input_digest(start_as.input::text);
        insert into amends.start_key (name, key, id, digest, at)
        values (start_as.definition, start_as.key, v_id, v_digest, amends.now())
        on conflict on constraint start_key_pkey do nothing;
        if not found then
            select k.* into strict v_first from amends.start_key k
            where k.name = start_as.definition and k.key = start_as.key;
            if v_first.digest = v_digest then
                return v_first.id;
            end if;
            raise exception 'expected the input that key % was first used with by saga %, found another',
                quote_literal(start_as.key), v_first.id using errcode = 'AM004';
        end if;
    end if;
    insert into amends.saga (id, definition, status, lane, signals, started_at)
    values (v_id, v_definition, 'queued', null, 0, amends.now());
    if v_path is not null then
        v_turn := amends.concurrency_key(start_as.input, v_path);
    end if;
    if v_turn is null then
        insert into amends.ready (definition, id, input) values (v_definition, v_id, start_as.input::text || v_further);
    else
        perform amends.queue(start_as.definition, v_turn, v_id, v_definition, start_as.input::text || v_further);
    end if;
    return v_id;
end
$$;

-- Starts a saga inside the caller's own transaction: it commits or vanishes with it. The same key with the same input
-- returns the first saga. `traceparent` is the caller's position in a trace, as W3C writes it: it is kept with the saga and
-- sent on in its calls. AM003: no such definition. AM004: the key was used with another input. AM005: bad argument.
create function amends.start(definition text, input json, key text default null, traceparent text default null) returns uuid
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select amends.start_as(null, start.definition, start.input, start.key, start.traceparent)
$$;

-- Refuses a transaction whose snapshot is older than the last compaction of amends.saga: it sees the rows of that table as they are
-- now, beside others as they were. Called after a first read of the table, when no compaction can come in between any more.
-- The error is the one with which Postgres makes whoever isolates a transaction begin it anew. 40001: begin anew.
create function amends.refuse_old_snapshot() returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    if current_setting('transaction_isolation') in ('repeatable read', 'serializable')
       -- By the transaction's snapshot, and now.
       and (select c.relfilenode from pg_class c where c.oid = 'amends.saga'::regclass)
           is distinct from pg_relation_filenode('amends.saga') then
        raise exception 'expected a snapshot that is younger than the last compaction of amends.saga'
            using errcode = '40001', hint = 'Begin the transaction anew.';
    end if;
end
$$;

-- Asks something of a saga; the runtime decides. Returns the number of the signal within its saga. `asker` is for whom a
-- node asks; null: the session's user. Locks the saga's row until the caller's transaction ends, so that a saga cannot be
-- parked past a signal. AM001: no such saga. AM002: it has ended. AM005: bad argument.
create function amends.request_as(asker text, saga uuid, request json) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_saga amends.saga;
    v_status text;
begin
    if request_as.request is null or octet_length(request_as.request::text) > 1048576 then
        raise exception 'expected a request of at most 1048576 bytes, found %',
            coalesce(octet_length(request_as.request::text)::text, 'null') using errcode = 'AM005';
    end if;
    update amends.saga g set signals = g.signals + 1 where g.id = request_as.saga returning g.* into v_saga;
    if not found then
        perform amends.refuse_old_snapshot();
        select d.status into v_status from amends.saga_done d
        where d.id = request_as.saga and d.ended_at >= amends.uuid_time(request_as.saga) - interval '1 day';
        if found then
            raise exception 'expected a saga that has not ended, found % %', v_status, request_as.saga
                using errcode = 'AM002';
        end if;
        raise exception 'expected the id of a saga, found %', request_as.saga using errcode = 'AM001';
    end if;
    perform amends.refuse_old_snapshot();
    insert into amends.signal (id, n, at, by, application_name, addr, request)
    values (request_as.saga, v_saga.signals, amends.now(), coalesce(request_as.asker, session_user),
            coalesce(current_setting('application_name', true), ''),
            case when request_as.asker is null then inet_client_addr() end, request_as.request::text);
    if v_saga.status = 'queued' and exists (select from amends.waiting w where w.id = v_saga.id) then
        -- Its journal has not begun, so no node can take it yet; whoever gives the turns looks at what was asked.
        insert into amends.knock (name, key, id)
        select w.name, w.key, w.id from amends.waiting w where w.id = v_saga.id;
    elsif v_saga.lane is not null then
        insert into amends.inbox (lane, id, definition) values (v_saga.lane, v_saga.id, v_saga.definition);
    elsif not v_saga.tried or request_as.request -> 'resume' is not null then
        -- What was put aside since processes died of it is taken up again only when it is told to resume.
        insert into amends.ready (definition, id) values (v_saga.definition, v_saga.id);
    end if;
    return v_saga.signals;
end
$$;

-- The same, asked by the session's user.
create function amends.request(saga uuid, request json) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select amends.request_as(null, request.saga, request.request)
$$;

-- Creates one partition unless it exists, and moves what lies in the default partition into it. Made apart and attached,
-- since CREATE .. PARTITION OF would lock the parent against the writers.
create function amends.ensure_partition(parent text, part text, key text, low text, high text) returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    if to_regclass(format('amends.%I', part)) is not null then
        return false;
    end if;
    execute format('create table amends.%I (like amends.%I including all)', part, parent);
    execute format('lock table amends.%I in access exclusive mode', parent || '_default');
    execute format('with moved as (delete from amends.%I where %I >= %L and %I < %L returning *) '
                   'insert into amends.%I select * from moved',
                   parent || '_default', key, low, key, high, part);
    execute format('alter table amends.%I attach partition amends.%I for values from (%L) to (%L)',
                   parent, part, low, high);
    return true;
end
$$;

-- Creates the partitions of the journal for this week and the next `weeks`, and of saga_done for today and the next `days`.
-- Returns how many are new.
create function amends.ensure_partitions(weeks int, days int) returns int
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    v_made int := 0;
    v_week timestamp := date_trunc('week', amends.now() at time zone 'utc');
    v_day timestamp := date_trunc('day', amends.now() at time zone 'utc');
    v_low timestamp;
begin
    perform pg_advisory_xact_lock(4702111234474983746);
    for i in 0 .. weeks loop
        v_low := v_week + i * interval '1 week';
        v_made := v_made + amends.ensure_partition('journal', 'journal_' || to_char(v_low, 'YYYYMMDD'), 'id',
            amends.uuid_floor(v_low at time zone 'utc')::text,
            amends.uuid_floor((v_low + interval '1 week') at time zone 'utc')::text)::int;
    end loop;
    for i in 0 .. days loop
        v_low := v_day + i * interval '1 day';
        v_made := v_made + amends.ensure_partition('saga_done', 'saga_done_' || to_char(v_low, 'YYYYMMDD'), 'ended_at',
            (v_low at time zone 'utc')::text, ((v_low + interval '1 day') at time zone 'utc')::text)::int;
    end loop;
    return v_made;
end
$$;

create table amends.journal_default partition of amends.journal default;
create table amends.saga_done_default partition of amends.saga_done default;
select amends.ensure_partitions(4, 7);

-- Nothing is for everybody; roles are granted what they need.
revoke all on all functions in schema amends from public;
