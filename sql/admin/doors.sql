-- The doors of applications: amends.start and amends.request, what nodes call in place of them, and what both stand on.
-- An application needs no node to start a saga or to ask something of it.

-- Takes a start out of the queue: it gets a row of its saga, and a ready row with its input. Returns false if it is not
-- in the queue, or if its saga has begun. Waits while a node takes it.
create or replace function amends.unqueue(saga uuid) returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    v_start amends.start_queue;
begin
    delete from amends.start_queue s where s.id = unqueue.saga returning s.* into v_start;
    -- The same start may have come twice at the same time. If its saga has begun, this one is not needed.
    if not found or exists (select from amends.saga g where g.id = unqueue.saga)
       or exists (select from amends.journal j where j.id = unqueue.saga and j.seq = 1) then
        return false;
    end if;
    insert into amends.saga (id, definition, status, lane, signals, started_at)
    values (v_start.id, v_start.definition, 'queued', null, 0, v_start.at);
    insert into amends.ready (definition, id, input, at)
    values (v_start.definition, v_start.id, v_start.input, v_start.at);
    return true;
end
$$;

-- Refuses a transaction whose snapshot is older than the last compaction of amends.saga or amends.start_queue: it sees
-- the rows of that table as they are now, beside others as they were. Called after a first read of the tables, when no
-- compaction can come in between any more. The error is that of Postgres for a transaction that must be repeated.
-- 40001: repeat the transaction.
create or replace function amends.refuse_old_snapshot() returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    v_table regclass;
begin
    if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
        foreach v_table in array array['amends.saga'::regclass, 'amends.start_queue'::regclass] loop
            -- By the transaction's snapshot, and now.
            if (select c.relfilenode from pg_class c where c.oid = v_table) is distinct from
                    pg_relation_filenode(v_table) then
                raise exception 'expected a snapshot that is younger than the last compaction of %', v_table
                    using errcode = '40001', hint = 'Repeat the transaction.';
            end if;
        end loop;
    end if;
end
$$;

-- Asks something of a saga; the runtime decides. Returns the number of the signal within its saga. `asker` is the name
-- of a node's caller; null: the session's user. Locks the saga's row until the caller's transaction ends, so that a
-- saga cannot be parked past a signal. The signal's time is when this was called, before it waits for that lock.
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
        -- A start in the queue, or one that a node took meanwhile.
        perform amends.unqueue(request_as.saga);
        update amends.saga g set signals = g.signals + 1 where g.id = request_as.saga returning g.* into v_saga;
    end if;
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

-- Returns whose a start key is, by the columns of amends.start_key: `mcp:NAME` for a caller over MCP; null for an
-- application. Rows of older versions have no owner beside the key. Inlined, so all names in it are qualified.
create or replace function amends.key_owner(owner text, key text) returns text
language sql immutable parallel safe as $$
    select coalesce(key_owner.owner,
                    pg_catalog.substring(key_owner.key, '^(mcp:[^:]+):[kuw]:'::pg_catalog.text))
$$;

-- Returns what the first row of the journal says of who starts a saga: the name of a node's caller; if there is none,
-- the session's user, and the person that the name of its application claims. Empty: no starter, as for a start on a
-- lane by the program around a node. Inlined, so all names in it are qualified.
create or replace function amends.starter(asker text) returns text language sql stable parallel safe as $$
    select case
        when starter.asker operator(pg_catalog.=) '' then ''
        else pg_catalog.concat(
            ',"by":', pg_catalog.to_json(coalesce(starter.asker, session_user::pg_catalog.text)),
            case when starter.asker is null then
                ',"claims":' operator(pg_catalog.||) pg_catalog.to_json(pg_catalog.substring(
                    pg_catalog.current_setting('application_name', true), ', claims (.+)$'::pg_catalog.text
                ))::pg_catalog.text
            end)
    end
$$;

-- Starts a saga as amends.start does, under an id that the caller chose. Null: a new id in the bucket of the
-- concurrency key, else of the start key, else in a random one. Another id comes back when the key had started a saga
-- before, so that the caller learns whether it was this start. `asker` is the name of a node's caller; null: the
-- session's user; empty: the session's user, and no starter is recorded. `owner` is whose key it is: `mcp:NAME`, with a
-- key `k:KEY`, for a caller over MCP; null: an application's.
drop function if exists amends.start_as(uuid, text, json, text, text, text);
create or replace function amends.start_as(
    id uuid, definition text, input json, key text default null, traceparent text default null,
    asker text default null, owner text default null
) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_definition amends.definition;
    v_turn text;
    v_id uuid;
    v_digest bytea;
    v_first amends.start_key;
    -- Null, both: the definition has neither.
    v_priority smallint;
    v_fairness text;
    v_plain boolean;
    v_heard boolean;
    -- The input, and what follows it in the first row of the journal.
    v_input text := start_as.input::text;
    v_asker text := nullif(start_as.asker, '');
    v_owner text := start_as.owner;
    v_key text := coalesce(start_as.owner || ':', '') || start_as.key;
begin
    if start_as.definition is null or start_as.input is null then
        raise exception 'expected a definition and an input, found null' using errcode = 'AM005';
    end if;
    if octet_length(v_input) > 1048576 then
        raise exception 'expected an input of at most 1048576 bytes, found %', octet_length(v_input)
            using errcode = 'AM005';
    end if;
    if start_as.key = '' or octet_length(v_key) > 512 then
        raise exception 'expected a key of 1 to 512 bytes, found %', octet_length(start_as.key) using errcode = 'AM005';
    end if;
    if v_owner is null and v_asker is not null then
        -- A node of an older version, which has checked its caller, gives the key in its stored form.
        v_owner := amends.key_owner(null, v_key);
    end if;
    if v_key is not null and amends.key_owner(null, v_key) is distinct from v_owner then
        raise exception '%', case when v_owner is null then format(
                'expected a key of your own, found %L, which has the form of the keys of callers over MCP', v_key)
            else format('expected an owner mcp:NAME and a key k:KEY, found %L and %L', v_owner, start_as.key) end
            using errcode = 'AM005', hint = 'Use another key.';
    end if;
    if start_as.traceparent is not null then
        if start_as.traceparent !~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'
           or start_as.traceparent ~ '^00-0{32}|-0{16}-' then
            raise exception 'expected a traceparent such as %, found %',
                '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
                quote_literal(left(start_as.traceparent, 100)) using errcode = 'AM005';
        end if;
        v_input := v_input || ',"traceparent":"' || start_as.traceparent || '"';
    end if;
    select d.id, d.concurrency, d.priority, d.fairness, d.quota_live, d.quota_bytes, c.plain is not distinct from d.id,
           exists (select from amends.listener)
    into v_definition.id, v_definition.concurrency, v_definition.priority, v_definition.fairness,
         v_definition.quota_live, v_definition.quota_bytes, v_plain, v_heard
    from amends.current_definition c join amends.definition d on d.id = c.definition
    where c.name = start_as.definition;
    if not found then
        raise exception 'expected the name of a registered definition, found %', quote_literal(start_as.definition)
            using errcode = 'AM003', hint = 'A node registers its definitions when it starts.';
    end if;
    if start_as.key is not null then
        v_digest := amends.input_digest(start_as.input::text);
        if v_definition.concurrency is not null then
            -- A repeat gets the answer of its key, whatever has become of the definition and of the input.
            select k.* into v_first from amends.start_key k
            where k.name = start_as.definition and k.key = v_key;
        end if;
    end if;
    if v_first.id is null then
        if v_definition.concurrency is not null then
            v_turn := amends.concurrency_key(start_as.input, v_definition.concurrency);
        end if;
        v_id := case
            when start_as.id is not null then start_as.id
            when v_turn is null and start_as.key is null then amends.uuid7()
            else amends.uuid7(amends.bucket_of_key(coalesce(v_turn, v_key)))
        end;
        if start_as.key is not null then
            insert into amends.start_key (name, key, id, digest, at, owner)
            values (start_as.definition, v_key, v_id, v_digest, amends.now(), v_owner)
            on conflict on constraint start_key_pkey do nothing;
            if not found then
                select k.* into strict v_first from amends.start_key k
                where k.name = start_as.definition and k.key = v_key;
            end if;
        end if;
    end if;
    if v_first.digest = v_digest then
        return v_first.id;
    elsif v_first.id is not null then
        raise exception 'expected the input that key % was first used with by saga %, found another',
            quote_literal(start_as.key), v_first.id using errcode = 'AM004';
    end if;
    if v_definition.priority is not null or v_definition.fairness is not null then
        v_priority := amends.priority_of(start_as.input, v_definition.priority);
        v_fairness := amends.fairness_key(start_as.input, v_definition.fairness,
                                          coalesce(v_asker, session_user));
    end if;
    if v_definition.quota_live is not null or v_definition.quota_bytes is not null then
        perform amends.use_quota(start_as.definition, v_fairness, v_id, octet_length(v_input), v_definition.quota_live,
                                 v_definition.quota_bytes);
    end if;
    if start_as.id is not null
       and (exists (select from amends.live_saga g where g.id = v_id)
            or exists (select from amends.journal j where j.id = v_id and j.seq = 1)) then
        raise exception 'expected a new id, found that of saga %', v_id using errcode = '23505';
    end if;
    v_input := v_input || amends.starter(start_as.asker);
    if v_plain then
        insert into amends.start_queue (definition, id, input) values (v_definition.id, v_id, v_input);
    else
        insert into amends.saga (id, definition, status, lane, signals, started_at)
        values (v_id, v_definition.id, 'queued', null, 0, amends.now());
        if v_turn is not null then
            perform amends.queue(start_as.definition, v_turn, v_definition.id, v_priority, v_fairness, v_id, v_input);
        elsif v_priority is not null then
            perform amends.make_ready(v_definition.id, v_priority, v_fairness, v_id, v_input);
        else
            insert into amends.ready (definition, id, input) values (v_definition.id, v_id, v_input);
        end if;
    end if;
    if v_heard then
        perform pg_notify('amends_wake', '');
    end if;
    return v_id;
end
$$;

-- Starts a saga inside the caller's own transaction: it commits or vanishes with it. The same key with the same input
-- returns the first saga. All applications share one scope of keys for each name of a definition; a key in the form of
-- the keys of callers over MCP is refused. Who starts it is recorded: the session's user, and the person in the name of
-- its application (`NAME, claims PERSON`), as it claims. `traceparent` is the caller's position in a trace, as W3C
-- writes it: it is kept with the saga and sent on in its calls. AM003: no such definition. AM004: the key was used with
-- another input. AM005: bad argument.
--
-- A start that only goes to the queue is done here, without a further call; amends.start_as does all others.
create or replace function amends.start(definition text, input json, key text default null,
    traceparent text default null) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_definition int;
    v_heard boolean;
    v_id uuid;
begin
    if start.key is null and start.traceparent is null and octet_length(start.input::text) <= 1048576 then
        select c.definition, exists (select from amends.listener) into v_definition, v_heard
        from amends.current_definition c
        where c.name = start.definition and c.plain = c.definition;
        if found then
            insert into amends.start_queue (definition, id, input)
            values (v_definition, amends.uuid7(), start.input::text || amends.starter(null))
            returning start_queue.id into v_id;
            if v_heard then
                perform pg_notify('amends_wake', '');
            end if;
            return v_id;
        end if;
    end if;
    return amends.start_as(null, start.definition, start.input, start.key, start.traceparent);
end
$$;
