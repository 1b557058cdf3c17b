-- Wakes: a transaction that gives nodes something to do notifies the channel `amends_wake`, if any node listens there
-- (`node.wake: listen`). A notification is a hint without a payload; what is right never depends on it. Postgres lets
-- transactions with a notification commit only one at a time, in the whole cluster. So none is sent while no node
-- listens.

-- Nodes that listen. Read by every start and every request, so it has nothing but a row for each of them.
create table amends.listener (
    node  bigint primary key
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50);

-- Starts a saga as amends.start does, under an id that the caller chose. Null: a new id in the bucket of the
-- concurrency key, else of the start key, else in a random one. Another id comes back when the key had started a saga
-- before, so that the caller learns whether it was this start.
create or replace function amends.start_as(
    id uuid, definition text, input json, key text default null, traceparent text default null
) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_definition int;
    v_path text[];
    v_turn text;
    v_id uuid;
    v_digest bytea;
    v_first amends.start_key;
    v_heard boolean;
    -- What follows the input in the first row of the journal.
    v_further text := '';
begin
    if start_as.traceparent is not null then
        if start_as.traceparent !~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'
           or start_as.traceparent ~ '^00-0{32}|-0{16}-' then
            raise exception 'expected a traceparent such as '
                '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, found %',
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
    select d.id, d.concurrency, exists (select from amends.listener) into v_definition, v_path, v_heard
    from amends.current_definition c join amends.definition d on d.id = c.definition
    where c.name = start_as.definition;
    if not found then
        raise exception 'expected the name of a registered definition, found %', quote_literal(start_as.definition)
            using errcode = 'AM003', hint = 'A node registers its definitions when it starts.';
    end if;
    if start_as.key is not null then
        v_digest := amends.input_digest(start_as.input::text);
        if v_path is not null then
            -- A repeat gets the answer of its key, whatever has become of the definition and of the input.
            select k.* into v_first from amends.start_key k
            where k.name = start_as.definition and k.key = start_as.key;
        end if;
    end if;
    if v_first.id is null then
        if v_path is not null then
            v_turn := amends.concurrency_key(start_as.input, v_path);
        end if;
        v_id := case
            when start_as.id is not null then start_as.id
            when v_turn is null and start_as.key is null then amends.uuid7()
            else amends.uuid7(amends.bucket_of_key(coalesce(v_turn, start_as.key)))
        end;
        if start_as.key is not null then
            insert into amends.start_key (name, key, id, digest, at)
            values (start_as.definition, start_as.key, v_id, v_digest, amends.now())
            on conflict on constraint start_key_pkey do nothing;
            if not found then
                select k.* into strict v_first from amends.start_key k
                where k.name = start_as.definition and k.key = start_as.key;
            end if;
        end if;
    end if;
    if v_first.digest = v_digest then
        return v_first.id;
    elsif v_first.id is not null then
        raise exception 'expected the input that key % was first used with by saga %, found another',
            quote_literal(start_as.key), v_first.id using errcode = 'AM004';
    end if;
    insert into amends.saga (id, definition, status, lane, signals, started_at)
    values (v_id, v_definition, 'queued', null, 0, amends.now());
    if v_turn is null then
        insert into amends.ready (definition, id, input) values (v_definition, v_id, start_as.input::text || v_further);
    else
        perform amends.queue(start_as.definition, v_turn, v_id, v_definition, start_as.input::text || v_further);
    end if;
    if v_heard then
        perform pg_notify('amends_wake', '');
    end if;
    return v_id;
end
$$;

-- Asks something of a saga; the runtime decides. Returns the number of the signal within its saga. `asker` is the one
-- for which a node asks; null: the session's user. Locks the saga's row until the caller's transaction ends, so that a saga
-- cannot be parked past a signal. The signal's time is when this was called, before it waits for that lock.
-- AM001: no such saga. AM002: it has ended. AM005: bad argument.
create or replace function amends.request_as(asker text, saga uuid, request json) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_at timestamptz := amends.clock();
    v_saga amends.saga;
    v_status text;
    v_heard boolean;
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
    values (request_as.saga, v_saga.signals, v_at, coalesce(request_as.asker, session_user),
            coalesce(current_setting('application_name', true), ''),
            case when request_as.asker is null then inet_client_addr() end, request_as.request::text)
    returning exists (select from amends.listener) into v_heard;
    if v_saga.status = 'queued' then
        -- Its journal has not begun. The row in `ready` that has the input is its wake: the lane that takes it reads
        -- how many signals there are. While the saga waits for its turn, the node that gives turns looks at what was
        -- asked.
        insert into amends.knock (name, key, id)
        select w.name, w.key, w.id from amends.waiting w where w.id = v_saga.id;
    elsif v_saga.lane is not null then
        insert into amends.inbox (lane, id, definition) values (v_saga.lane, v_saga.id, v_saga.definition);
    elsif not v_saga.tried or request_as.request -> 'resume' is not null then
        -- What was put aside since processes died of it is taken up again only when it is told to resume.
        insert into amends.ready (definition, id) values (v_saga.definition, v_saga.id);
    end if;
    if v_heard then
        perform pg_notify('amends_wake', '');
    end if;
    return v_saga.signals;
end
$$;

-- Gives turns: looks at up to `knocks` starts that have come, and at the turns of the sagas `ended`. A turn whose
-- holder has ended, or that has no holder, goes to the start that has waited longest, which is made ready. Returns how
-- many knocks were answered and how many turns were given.
-- Locks: knocks (skip locked), turns in order (waits for another node that gives one of them), the first that waits
-- (skip locked). Each statement below sees what was committed before it, in particular after the lock of the turn was
-- got: so a start that came in between is either seen here, or its knock finds the turn as it is then.
create or replace function amends.give_turns(knocks bigint, ended uuid[], out answered bigint, out given bigint)
language plpgsql volatile as $$
declare
    v_names text[];
    v_keys text[];
    v_holder uuid;
    v_held boolean;
    v_next record;
begin
    given := 0;
    with mine as materialized (
        select k.n from amends.knock k where k.id is null order by k.n limit knocks for update skip locked
    ), heard as (
        delete from amends.knock k
        where k.n = any (array(select m.n from mine m))
          and k.n >= (select min(m.n) from mine m) and k.n <= (select max(m.n) from mine m)
        returning k.name, k.key
    ), due as (
        select h.name, h.key from heard h
        union
        select t.name, t.key from amends.turn t where t.holder = any (ended)
        order by 1, 2
    )
    select (select count(*) from heard),
           array_agg(d.name order by d.name, d.key), array_agg(d.key order by d.name, d.key)
    into answered, v_names, v_keys
    from due d;
    for i in 1 .. coalesce(cardinality(v_names), 0) loop
        select t.holder into v_holder from amends.turn t where t.name = v_names[i] and t.key = v_keys[i] for update;
        v_held := found;
        continue when v_held and exists (select from amends.saga g where g.id = v_holder);
        select w.n, w.id, w.definition, w.input into v_next
        from amends.waiting w
        where w.name = v_names[i] and w.key = v_keys[i]
        order by w.n limit 1
        for update skip locked;
        if not found then
            delete from amends.turn t where t.name = v_names[i] and t.key = v_keys[i];
            continue;
        end if;
        if v_held then
            update amends.turn t set holder = v_next.id where t.name = v_names[i] and t.key = v_keys[i];
        else
            insert into amends.turn (name, key, holder) values (v_names[i], v_keys[i], v_next.id)
            on conflict on constraint turn_pkey do nothing;
            -- Another node has just given it.
            continue when not found;
        end if;
        delete from amends.waiting w where w.name = v_names[i] and w.key = v_keys[i] and w.n = v_next.n;
        insert into amends.ready (definition, id, input) values (v_next.definition, v_next.id, v_next.input);
        given := given + 1;
    end loop;
    -- The node that calls this takes what it has given, unless it is full or cannot run it.
    if given > 0 and exists (select from amends.listener) then
        perform pg_notify('amends_wake', '');
    end if;
end
$$;

-- No function is for everybody; roles are granted what they need.
revoke all on all functions in schema amends from public;
