-- A database as nodes of commit b09ffbc left it, which were killed with SIGKILL: sagas of the first law in every state in which a saga
-- can be left. Made by pg_dump of Postgres 15, without owners and grants; world.rs beside it has the definitions and the participants.
-- A saga's start key is its name in the test.
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
CREATE SCHEMA amends;
CREATE SCHEMA ledger;
CREATE FUNCTION amends.abandon(saga uuid, reason text) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select amends.ask(abandon.saga, 'abandon', json_build_object('reason', coalesce(abandon.reason, '')), true)
$$;
CREATE FUNCTION amends.approve(saga uuid, step text, digest text, reason text DEFAULT ''::text) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select amends.ask(approve.saga, 'approve',
        json_build_object('step', coalesce(approve.step, ''), 'digest', coalesce(approve.digest, ''),
                          'reason', coalesce(approve.reason, '')), false)
$$;
CREATE FUNCTION amends.ask(saga uuid, verb text, argument json, reasoned boolean) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if ask.reasoned and btrim(ask.argument ->> 'reason') = '' then
        raise exception 'expected a reason to % saga %, found none', ask.verb, ask.saga
            using errcode = 'AM005', hint = 'It is kept in the journal: say why, for those who ask next week.';
    end if;
    return amends.request(ask.saga, json_build_object(ask.verb, ask.argument));
end
$$;
CREATE FUNCTION amends.bulk(verb text, definition text, reason text, status text DEFAULT 'stuck'::text, started_before timestamp with time zone DEFAULT 'infinity'::timestamp with time zone, most integer DEFAULT 100, spread interval DEFAULT '00:00:00'::interval) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    v_saga record;
    v_step text;
    v_asked int := 0;
    v_argument json;
begin
    if bulk.verb is null or bulk.verb not in ('cancel', 'abandon', 'pause', 'resume', 'retry') then
        raise exception 'expected cancel, abandon, pause, resume or retry, found %', coalesce(quote_literal(bulk.verb), 'null')
            using errcode = 'AM005';
    end if;
    if bulk.status is null or bulk.status not in ('queued', 'running', 'compensating', 'paused', 'stuck') then
        raise exception 'expected the status of a live saga, found %', coalesce(quote_literal(bulk.status), 'null')
            using errcode = 'AM005';
    end if;
    if bulk.most is null or bulk.most not between 1 and 1000 then
        raise exception 'expected 1 to 1000 sagas at a time, found %', coalesce(bulk.most::text, 'null') using errcode = 'AM005';
    end if;
    if not exists (select from amends.definition d where d.name = bulk.definition) then
        raise exception 'expected the name of a registered definition, found %',
            coalesce(quote_literal(bulk.definition), 'null') using errcode = 'AM003';
    end if;
    for v_saga in
        select g.id, g.attention
        from amends.saga g
        where g.status = bulk.status
          and g.definition = any (array (select d.id from amends.definition d where d.name = bulk.definition))
          and g.id < coalesce(amends.uuid_floor(nullif(bulk.started_before, 'infinity')), 'ffffffff-ffff-ffff-ffff-ffffffffffff')
          -- What was asked and is not yet answered is not asked again; but what was put aside since processes died of it answers
          -- only once it has been told to resume.
          and (not exists (select from amends.signal s where s.id = g.id and s.n = g.signals and s.fate is null)
               or bulk.verb = 'resume' and g.tried and g.lane is null
                  and exists (select from amends.timer t where t.id = g.id and t.fire_at = 'infinity')
                  and not exists (select from amends.ready r where r.definition = g.definition and r.id = g.id))
        order by g.id
        limit bulk.most
        for update skip locked
    loop
        perform amends.refuse_old_snapshot();
        v_argument := json_build_object('reason', coalesce(bulk.reason, ''));
        if bulk.verb = 'retry' then
            select a ->> 'step' into v_step from json_array_elements(v_saga.attention::json) a
            where a ->> 'stuck' is not null limit 1;
            continue when v_step is null;
            v_argument := json_build_object('step', v_step, 'reason', coalesce(bulk.reason, ''));
        end if;
        perform amends.ask(v_saga.id, bulk.verb, v_argument, bulk.verb in ('cancel', 'abandon'));
        v_asked := v_asked + 1;
        if bulk.spread > interval '0' then
            -- A parked saga looks when it is woken: let that be later.
            with woken as (
                delete from amends.ready r using amends.saga g
                where g.id = v_saga.id and g.lane is null and r.definition = g.definition and r.id = g.id and r.input is null
                returning r.id
            )
            insert into amends.timer (id, fire_at)
            select distinct w.id, amends.now() + random() * bulk.spread from woken w
            on conflict (id) do update set fire_at = least(timer.fire_at, excluded.fire_at);
        end if;
    end loop;
    return v_asked;
end
$$;
CREATE FUNCTION amends.cancel(saga uuid, reason text) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select amends.ask(cancel.saga, 'cancel', json_build_object('reason', coalesce(cancel.reason, '')), true)
$$;
CREATE FUNCTION amends.concurrency_key(input json, path text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    AS $$
declare
    v_value json;
    v_key text;
begin
    begin
        v_value := input #> path;
        v_key := case json_typeof(v_value)
            when 'null' then null
            when 'number' then trim_scale((v_value #>> '{}')::numeric)::text
            else v_value::jsonb::text
        end;
    exception when data_exception or program_limit_exceeded or statement_too_complex then
        if v_value is null then
            raise exception 'expected an input that can be read down to its concurrency key, found %', sqlerrm
                using errcode = 'AM005';
        end if;
        v_key := v_value::text;
    end;
    if octet_length(v_key) > 512 then
        raise exception 'expected a concurrency key of at most 512 bytes, found %', octet_length(v_key)
            using errcode = 'AM005';
    end if;
    return v_key;
end
$$;
CREATE FUNCTION amends.deny(saga uuid, step text, reason text DEFAULT ''::text) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select amends.ask(deny.saga, 'deny',
        json_build_object('step', coalesce(deny.step, ''), 'reason', coalesce(deny.reason, '')), false)
$$;
CREATE FUNCTION amends.drain_node(node bigint, reason text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    v_signal bigint;
begin
    perform amends.need_reason('drain node ' || coalesce(drain_node.node::text, 'null'), drain_node.reason);
    if not exists (select from amends.node n where n.id = drain_node.node and n.gone_at is null and n.disowned_at is null) then
        raise exception 'expected the number of a node in service, found %', coalesce(drain_node.node::text, 'null')
            using errcode = 'AM006', hint = 'In service: ' || coalesce((
                select string_agg(format('%s (%s)', n.id, n.name), ', ' order by n.id) from amends.node n
                where n.gone_at is null and n.disowned_at is null), 'none') || '.';
    end if;
    v_signal := amends.tell_fleet('drain_node', null, drain_node.node, drain_node.reason);
    if v_signal is null then
        raise exception 'expected a node that takes sagas, found % which was told to drain already', drain_node.node
            using errcode = 'AM009', hint = 'Legal now: undrain_node. Who told it: amends.node_drains.';
    end if;
    return v_signal;
end
$$;
CREATE FUNCTION amends.ensure_partition(parent text, part text, key text, low text, high text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
CREATE FUNCTION amends.ensure_partitions(weeks integer, days integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
CREATE FUNCTION amends.evict(saga uuid, reason text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    v_signal bigint;
    v_lane bigint;
    v_status text;
begin
    select g.lane, g.status into v_lane, v_status from amends.saga g where g.id = evict.saga;
    if found and v_lane is null then
        raise exception 'expected a saga that some node has, found % which is %', evict.saga, v_status
            using errcode = 'AM007',
                  hint = 'Nothing is to be taken away: any node may take it when it wakes. Legal: cancel, pause, abandon, and '
                         'what amends.stuck names.';
    end if;
    v_signal := amends.ask(evict.saga, 'evict',
        json_build_object('lane', v_lane, 'reason', coalesce(evict.reason, '')), true);
    insert into amends.eviction (id, lane, at) values (evict.saga, v_lane, amends.now())
    on conflict on constraint eviction_pkey do update set lane = excluded.lane, at = excluded.at
        where eviction.lane <> excluded.lane;
    return v_signal;
end
$$;
CREATE FUNCTION amends.expire(default_ms bigint) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_bitmapscan TO 'on'
    AS $_$
declare
    v_cutoff timestamptz;
    v_part record;
    v_low uuid;
    v_high uuid;
begin
    perform pg_advisory_xact_lock(4702111234474983746);
    select amends.now() - make_interval(secs => coalesce(
        max(coalesce((d.draft::json ->> 'retention_ms')::bigint, expire.default_ms)), expire.default_ms) / 1000.0)
    into v_cutoff from amends.definition d;
    for v_part in
        select c.relname, to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp at time zone 'utc' as day
        from pg_class c
        where c.relnamespace = 'amends'::regnamespace and c.relkind = 'r' and c.relispartition
          and c.relname ~ '^saga_done_[0-9]{8}$'
        order by c.relname
    loop
        continue when v_part.day + interval '1 day' > v_cutoff;
        execute format('alter table amends.saga_done detach partition amends.%I', v_part.relname);
        execute format('drop table amends.%I', v_part.relname);
        return next v_part.relname;
    end loop;
    for v_part in
        select c.relname, to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp at time zone 'utc' as week
        from pg_class c
        where c.relnamespace = 'amends'::regnamespace and c.relkind = 'r' and c.relispartition
          and c.relname ~ '^journal_[0-9]{8}$'
        order by c.relname
    loop
        continue when v_part.week + interval '7 days' > v_cutoff;
        v_low := amends.uuid_floor(v_part.week);
        v_high := amends.uuid_floor(v_part.week + interval '7 days');
        continue when exists (select from amends.saga g where g.id >= v_low and g.id < v_high)
                   or exists (select from amends.saga_done d where d.id >= v_low and d.id < v_high);
        delete from amends.signal s where s.id >= v_low and s.id < v_high;
        execute format('alter table amends.journal detach partition amends.%I', v_part.relname);
        execute format('drop table amends.%I', v_part.relname);
        return next v_part.relname;
    end loop;
    delete from amends.start_key k
    where k.ctid = any (array (
        select o.ctid from amends.start_key o
        where o.at < v_cutoff and not exists (select from amends.saga g where g.id = o.id)
        limit 10000));
end
$_$;
CREATE FUNCTION amends.give_turns(knocks bigint, ended uuid[], OUT answered bigint, OUT given bigint) RETURNS record
    LANGUAGE plpgsql
    AS $$
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
    select (select count(*) from heard), array_agg(d.name order by d.name, d.key), array_agg(d.key order by d.name, d.key)
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
            -- Somebody else has just given it.
            continue when not found;
        end if;
        delete from amends.waiting w where w.name = v_names[i] and w.key = v_keys[i] and w.n = v_next.n;
        insert into amends.ready (definition, id, input) values (v_next.definition, v_next.id, v_next.input);
        given := given + 1;
    end loop;
end
$$;
CREATE FUNCTION amends.input_digest(input text) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE
    AS $$
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
CREATE FUNCTION amends.millis(at timestamp with time zone) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ select (extract(epoch from at) * 1000)::bigint $$;
CREATE FUNCTION amends.need_reason(asked text, reason text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if coalesce(btrim(need_reason.reason), '') = '' then
        raise exception 'expected a reason to %, found none', need_reason.asked
            using errcode = 'AM005', hint = 'It is kept: say why, for those who ask next week.';
    end if;
end
$$;
CREATE FUNCTION amends.now() RETURNS timestamp with time zone
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ select pg_catalog.now() $$;
CREATE FUNCTION amends.pause(saga uuid, reason text) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select amends.ask(pause.saga, 'pause', json_build_object('reason', coalesce(pause.reason, '')), false)
$$;
CREATE FUNCTION amends.pause_definition(definition text, reason text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    v_signal bigint;
begin
    perform amends.need_reason('pause ' || coalesce(quote_literal(pause_definition.definition), 'null'),
        pause_definition.reason);
    if not exists (select from amends.current_definition c where c.name = pause_definition.definition) then
        raise exception 'expected the name of a registered definition, found %',
            coalesce(quote_literal(pause_definition.definition), 'null') using errcode = 'AM003';
    end if;
    v_signal := amends.tell_fleet('pause_definition', pause_definition.definition, null, pause_definition.reason);
    if v_signal is null then
        raise exception 'expected a definition that is taken up, found % paused already',
            quote_literal(pause_definition.definition)
            using errcode = 'AM009', hint = 'Legal now: resume_definition. Who paused it: amends.definition_pauses.';
    end if;
    return v_signal;
end
$$;
CREATE FUNCTION amends.queue(name text, key text, id uuid, definition integer, input text) RETURNS void
    LANGUAGE sql
    AS $$
    insert into amends.timer (id, fire_at) values (queue.id, 'infinity');
    insert into amends.waiting (name, key, id, definition, input)
    values (queue.name, queue.key, queue.id, queue.definition, queue.input);
    insert into amends.knock (name, key) values (queue.name, queue.key);
$$;
CREATE FUNCTION amends.readable(body text) RETURNS json
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    perform body::jsonb;
    return body::json;
exception when others then
    begin
        return regexp_replace(body, '\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\\ufffd', 'g')::json;
    exception when others then
        return '{}'::json;
    end;
end
$$;
CREATE FUNCTION amends.refuse_old_snapshot() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
CREATE FUNCTION amends.request(saga uuid, request json) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select amends.request_as(null, request.saga, request.request)
$$;
CREATE FUNCTION amends.request_as(asker text, saga uuid, request json) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
CREATE FUNCTION amends.rerun_from(saga uuid, step text, reason text) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    v_definition int;
    v_first amends.rerun;
    v_rerun uuid := amends.uuid7();
begin
    perform amends.need_reason('rerun saga ' || coalesce(rerun_from.saga::text, 'null'), rerun_from.reason);
    select s.definition into v_definition
    from (
        select g.definition from amends.saga g where g.id = rerun_from.saga
        union all
        select d.definition from amends.saga_done d
        where d.id = rerun_from.saga and d.ended_at >= amends.uuid_time(rerun_from.saga) - interval '1 day'
    ) s;
    perform amends.refuse_old_snapshot();
    if v_definition is null then
        raise exception 'expected the id of a saga, found %', coalesce(rerun_from.saga::text, 'null') using errcode = 'AM001';
    end if;
    insert into amends.rerun (id, step, rerun, definition, at, by, application_name, addr, reason, due_at)
    values (rerun_from.saga, coalesce(rerun_from.step, ''), v_rerun, v_definition, amends.now(), session_user,
            coalesce(current_setting('application_name', true), ''), inet_client_addr(), rerun_from.reason, amends.now())
    on conflict (id) where fate is distinct from 'refused' do nothing;
    if found then
        return v_rerun;
    end if;
    select r.* into strict v_first from amends.rerun r where r.id = rerun_from.saga and r.fate is distinct from 'refused';
    if v_first.step = rerun_from.step then
        return v_first.rerun;
    end if;
    raise exception 'expected a saga whose outcomes are its own, found % which saga % has taken over',
        rerun_from.saga, v_first.rerun
        using errcode = 'AM008', hint = format('Rerun %s, once it has ended.', v_first.rerun);
end
$$;
CREATE FUNCTION amends.resolve(saga uuid, step text, finding text, output json, reason text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    v_finding json;
begin
    v_finding := case resolve.finding
        when 'applied' then json_build_object('applied', json_build_object('output', coalesce(resolve.output, 'null')))
        when 'absent' then '"absent"'::json
    end;
    if v_finding is null then
        raise exception 'expected the finding ''applied'' or ''absent'', found %',
            coalesce(quote_literal(resolve.finding), 'null') using errcode = 'AM005';
    end if;
    if resolve.finding = 'absent' and json_typeof(resolve.output) <> 'null' then
        raise exception 'expected no output of an absent effect, found one' using errcode = 'AM005';
    end if;
    return amends.ask(resolve.saga, 'resolve',
        json_build_object('step', coalesce(resolve.step, ''), 'finding', v_finding,
                          'reason', coalesce(resolve.reason, '')), true);
end
$$;
CREATE FUNCTION amends.resume(saga uuid, reason text DEFAULT ''::text) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select amends.ask(resume.saga, 'resume', json_build_object('reason', coalesce(resume.reason, '')), false)
$$;
CREATE FUNCTION amends.resume_definition(definition text, reason text DEFAULT ''::text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    v_signal bigint;
begin
    if resume_definition.definition is not null then
        v_signal := amends.tell_fleet('resume_definition', resume_definition.definition, null, resume_definition.reason);
    end if;
    update amends.fleet_signal p set lifted_by = v_signal
    where p.definition = resume_definition.definition and p.verb = 'pause_definition' and p.lifted_by is null;
    if not found then
        raise exception 'expected a definition that is paused, found %',
            coalesce(quote_literal(resume_definition.definition), 'null')
            using errcode = 'AM009', hint = 'Legal now: pause_definition. Those paused: amends.definition_pauses, where held.';
    end if;
    return v_signal;
end
$$;
CREATE FUNCTION amends.retry(saga uuid, step text, reason text DEFAULT ''::text) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select amends.ask(retry.saga, 'retry',
        json_build_object('step', coalesce(retry.step, ''), 'reason', coalesce(retry.reason, '')), false)
$$;
CREATE FUNCTION amends.signal(saga uuid, event text, payload json DEFAULT 'null'::json) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if coalesce(signal.event, '') = '' then
        raise exception 'expected the name of an event, found none' using errcode = 'AM005';
    end if;
    return amends.request(signal.saga, json_build_object('provide', json_build_object(
        'event', signal.event, 'payload', coalesce(signal.payload, 'null'))));
end
$$;
CREATE FUNCTION amends.signal_status(saga uuid, signal bigint DEFAULT NULL::bigint) RETURNS TABLE(signal bigint, verb text, fate text, answer text, asked_by text, asked_at timestamp with time zone)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select s.signal, amends.verb_of(s.request), s.fate, s.answer, s.asked_by, s.asked_at
    from amends.signals s
    where s.saga = signal_status.saga and s.signal = coalesce(signal_status.signal, s.signal)
    union all
    select s.signal, amends.verb_of(s.request), s.fate, s.answer, s.asked_by, s.asked_at
    from amends.signals s
    where signal_status.saga is null and s.saga is null and s.signal = coalesce(signal_status.signal, s.signal)
    order by 1 desc
    limit 1
$$;
CREATE FUNCTION amends.skip(saga uuid, step text, output json, reason text) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select amends.ask(skip.saga, 'skip',
        json_build_object('step', coalesce(skip.step, ''), 'output', coalesce(skip.output, 'null'),
                          'reason', coalesce(skip.reason, '')), true)
$$;
CREATE FUNCTION amends.start(definition text, input json, key text DEFAULT NULL::text, traceparent text DEFAULT NULL::text) RETURNS uuid
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select amends.start_as(null, start.definition, start.input, start.key, start.traceparent)
$$;
CREATE FUNCTION amends.start_as(id uuid, definition text, input json, key text DEFAULT NULL::text, traceparent text DEFAULT NULL::text) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;
CREATE FUNCTION amends.step_names(saga uuid, draft json) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select array(select s.step ->> 'name' from json_array_elements(draft -> 'steps') with ordinality s (step, n) order by s.n)
           || case when draft -> 'open' is null then '{}' else array(
               select a.name
               from (
                   select amends.readable(j.body) #>> '{requested,request,append,step,name}' as name, min(j.seq) as seq
                   from amends.journal j
                   where j.id = step_names.saga and j.kind = 'requested'
                   group by 1
               ) a
               where a.name is not null
                 and not exists (select from json_array_elements(draft -> 'steps') s where s ->> 'name' = a.name)
               order by a.seq)
           end
$$;
CREATE FUNCTION amends.steps_of(saga uuid) RETURNS TABLE("position" integer, step text, kind text, state text, attempts integer, compensation_attempts integer, probes integer, last_outcome text, error text, since timestamp with time zone, output json)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with live as materialized (
        select g.status, g.attention, d.draft::json as draft, amends.step_names(steps_of.saga, d.draft::json) as names
        from (
            select g.definition, g.status, g.attention from amends.saga g where g.id = steps_of.saga
            union all
            select g.definition, g.status, null from amends.saga_done g
            where g.id = steps_of.saga and g.ended_at >= amends.uuid_time(steps_of.saga) - interval '1 day'
        ) g
        join amends.definition d on d.id = g.definition
    ), happened as materialized (
        select j.seq, j.at, j.kind, amends.readable(j.body) -> j.kind as e
        from amends.journal j
        where j.id = steps_of.saga
    ), asked as materialized (
        select h.*, (select k from json_object_keys(h.e -> 'request') k) as verb,
               (select v.value from json_each(h.e -> 'request') v) as request
        from happened h
        where h.kind = 'requested' and json_typeof(h.e -> 'request') = 'object'
    ), plan as materialized (
        select p.n - 1 as position, p.name, d.step
        from live l
        cross join unnest(l.names) with ordinality p (name, n)
        left join lateral (
            select s.step from json_array_elements(l.draft -> 'steps') s (step) where s.step ->> 'name' = p.name
            union all
            (select a.request -> 'step' from asked a
             where a.verb = 'append' and a.request #>> '{step,name}' = p.name order by a.seq limit 1)
            limit 1
        ) d on true
    ), word as materialized (
        select h.seq, h.at, (h.e ->> 'step')::bigint as position,
               h.e ->> 'direction' = 'compensation' as undoing,
               case
                   when h.kind = 'condition_decided' then case
                       when h.e ->> 'decision' = 'skip' then 'skipped' when h.e ->> 'decision' = 'run' then 'ran' else 'failed'
                   end
                   when h.kind = 'probe_answered' then case
                       when h.e -> 'answer' -> 'applied' is not null then 'succeeded'
                       when h.e ->> 'answer' = 'absent' then 'absent' else 'unknown' end
                   when h.kind = 'approval_shown' then 'failed'
                   when h.e #>> '{outcome,failed,retryable}' = 'true' then 'failed_retryable'
                   else (select k from json_object_keys(h.e -> 'outcome') k)
               end as outcome,
               coalesce(
                   (h.e #>> '{outcome,failed,error,code}') || ': ' || (h.e #>> '{outcome,failed,error,message}'),
                   (h.e #>> '{outcome,unknown,error,code}') || ': ' || (h.e #>> '{outcome,unknown,error,message}'),
                   (h.e #>> '{answer,inconclusive,error,code}') || ': ' || (h.e #>> '{answer,inconclusive,error,message}'),
                   (h.e #>> '{decision,failed,code}') || ': ' || (h.e #>> '{decision,failed,message}'),
                   (h.e #>> '{showing,failed,code}') || ': ' || (h.e #>> '{showing,failed,message}')) as error,
               coalesce(h.e #> '{outcome,succeeded,output}', h.e #> '{answer,applied,output}') as output
        from happened h
        where h.kind in ('attempt_ended', 'probe_answered', 'condition_decided')
           or h.kind = 'approval_shown' and h.e #> '{showing,failed}' is not null
        union all
        select h.seq, h.at, (o.one ->> 'step')::bigint, false,
               case when json_typeof(o.one -> 'effect') = 'object' then 'taken_over' else 'skipped' end, null,
               o.one #> '{effect,output}'
        from happened h
        cross join lateral json_array_elements(h.e #> '{rerun,outcomes}') o (one)
        where h.kind = 'started'
        union all
        select a.seq, a.at, p.position, b.undoing, case
                   when a.verb = 'retry' then 'retried'
                   when a.verb = 'approve' then 'succeeded'
                   when a.verb = 'deny' then 'failed'
                   when a.verb = 'resolve' and json_typeof(a.request -> 'finding') = 'string' then 'absent'
                   else 'by_hand' end,
               case when a.verb = 'deny'
                    then 'denied: ' || concat_ws(' denied it: ', a.e ->> 'by', nullif(a.request ->> 'reason', '')) end,
               case when a.verb = 'approve'
                    then json_build_object('approved_by', a.e ->> 'by', 'reason', a.request ->> 'reason')
                    else coalesce(a.request #> '{finding,applied,output}', a.request -> 'output', a.request -> 'payload') end
        from asked a
        join plan p on a.verb in ('retry', 'skip', 'resolve', 'approve', 'deny') and a.request ->> 'step' = p.name
                    or a.verb = 'provide' and a.request ->> 'event' in (
                        coalesce(p.step #>> '{action,await,event}', p.name), p.name || '.compensation')
        cross join lateral (
            -- By hand goes the way that the last call of the step went.
            select coalesce(a.request ->> 'event' = p.name || '.compensation', (
                select c.e ->> 'direction' = 'compensation' from happened c
                where c.seq < a.seq and c.kind in ('attempt_ended', 'probe_answered')
                  and (c.e ->> 'step')::bigint = p.position
                order by c.seq desc limit 1), false) as undoing
        ) b
    ), summed as materialized (
        select p.position, p.name, p.step, l.status, t.one as attention, w.attempts, w.undone_attempts, w.probes, w.output,
               last.outcome, last.undoing, last.at, last.error, worst.error as last_error
        from plan p
        cross join live l
        left join lateral (
            select one from json_array_elements(l.attention::json) one where one ->> 'step' = p.name limit 1
        ) t on true
        left join lateral (
            select count(*) filter (where h.kind = 'attempt_ended' and h.e ->> 'direction' = 'action')::int as attempts,
                   count(*) filter (where h.kind = 'attempt_ended' and h.e ->> 'direction' = 'compensation')::int
                       as undone_attempts,
                   count(*) filter (where h.kind = 'probe_answered')::int as probes,
                   (select w.output from word w where w.position = p.position and not w.undoing and w.output is not null
                    order by w.seq desc limit 1) as output
            from happened h
            where (h.e ->> 'step')::text = p.position::text and h.kind in ('attempt_ended', 'probe_answered')
        ) w on true
        left join lateral (
            select w.* from word w where w.position = p.position order by w.seq desc limit 1
        ) last on true
        left join lateral (
            select w.error from word w where w.position = p.position and w.error is not null order by w.seq desc limit 1
        ) worst on true
    ), judged as materialized (
        select s.*,
               case
                   when s.attention ->> 'stuck' is not null then 'stuck'
                   when s.attention is not null then 'in_doubt'
                   when s.outcome in ('succeeded', 'by_hand') and s.undoing then 'undone'
                   when s.outcome in ('succeeded', 'by_hand', 'taken_over') then 'done'
                   when s.outcome = 'skipped' then 'skipped'
                   when s.status = 'completed' then 'done'
                   when s.outcome in ('failed', 'failed_retryable', 'absent', 'unknown')
                        and not s.undoing and s.status in ('compensating', 'compensated') then 'failed'
                   when s.outcome = 'failed' then 'failed'
                   when s.outcome in ('failed_retryable', 'absent', 'retried') then 'backing_off'
                   when s.outcome = 'pending' then 'awaiting'
                   when s.outcome = 'unknown' then 'in_doubt'
               end as state
        from summed s
    ), settled as materialized (
        select j.name, j.step ->> 'kind' as kind,
               j.state is not null and j.state in ('done', 'skipped')
               -- What waits for nobody leaves no word of its own; a later step that has begun tells that it is over.
               or exists (select from judged k where k.outcome is not null and (k.step -> 'needs')::jsonb ? j.name) as settled
        from judged j
    )
    select j.position::int, j.name, coalesce(j.step ->> 'kind', 'compensable'),
           case
               when j.state is not null then j.state
               when (select t.settled from settled t where t.name = j.name) then 'done'
               when j.status in ('compensated', 'compensating') then 'not_begun'
               when exists (select from settled t where not t.settled and t.name <> j.name
                            and ((j.step -> 'needs')::jsonb ? t.name
                                 or j.step ->> 'kind' = 'pivot' and coalesce(t.kind, 'compensable') = 'compensable'
                                 or j.step ->> 'kind' = 'retriable' and coalesce(t.kind, 'compensable') <> 'retriable'))
                    then 'waiting'
               when j.status = 'queued' then 'waiting'
               when j.step -> 'action' -> 'await' is not null then 'awaiting'
               when j.step -> 'action' -> 'approval' is not null then 'asking'
               when j.step -> 'action' -> 'sleep' is not null then 'sleeping'
               else 'under_way'
           end,
           j.attempts, j.undone_attempts, j.probes, nullif(j.outcome, 'ran'), coalesce(j.error, j.last_error),
           coalesce(to_timestamp((j.attention ->> 'since')::bigint / 1000.0), j.at), j.output
    from judged j
    order by j.position
$$;
CREATE FUNCTION amends.tell_fleet(verb text, definition text, node bigint, reason text) RETURNS bigint
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    insert into amends.fleet_signal (verb, definition, node, at, by, application_name, addr, reason)
    values (tell_fleet.verb, tell_fleet.definition, tell_fleet.node, amends.now(), session_user,
            coalesce(current_setting('application_name', true), ''), inet_client_addr(), coalesce(tell_fleet.reason, ''))
    on conflict do nothing
    returning n
$$;
CREATE FUNCTION amends.timeline_of(saga uuid) RETURNS TABLE(seq integer, at timestamp with time zone, kind text, step text, what text, error text, signal bigint, asked_by text, application_name text, address text, asked_at timestamp with time zone, reason text, node text)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with named as materialized (
        select amends.step_names(timeline_of.saga, d.draft::json) as names
        from (
            select g.definition from amends.saga g where g.id = timeline_of.saga
            union all
            select g.definition from amends.saga_done g
            where g.id = timeline_of.saga and g.ended_at >= amends.uuid_time(timeline_of.saga) - interval '1 day'
        ) g
        join amends.definition d on d.id = g.definition
    ), written as materialized (
        select j.seq, j.at, j.kind, j.lane, amends.readable(j.body) -> j.kind as e
        from amends.journal j
        where j.id = timeline_of.saga
    ), verb as materialized (
        select w.*,
               case when json_typeof(w.e -> 'request') = 'string' then w.e ->> 'request'
                    when json_typeof(w.e -> 'request') = 'object' then (select k from json_object_keys(w.e -> 'request') k)
               end as verb,
               case w.e ->> 'direction' when 'compensation' then 'compensation ' else '' end as way,
               case when json_typeof(w.e -> 'request') = 'object'
                    then (select v.value from json_each(w.e -> 'request') v) end as asked
        from written w
    )
    select v.seq, v.at, v.kind,
           coalesce(n.names[(v.e ->> 'step')::int + 1], v.asked ->> 'step'),
           case v.kind
               when 'started' then coalesce(
                   'started, goes on from step ' || (v.e #>> '{rerun,from}') || ' of saga ' || (v.e #>> '{rerun,of}'),
                   'started')
               when 'condition_decided' then case
                   when v.e ->> 'decision' = 'run' then '`when` is true'
                   when v.e ->> 'decision' = 'skip' then 'skipped: `when` is false'
                   else '`when` failed, before any call' end
               when 'attempt_ended' then v.way || 'attempt ' || (v.e ->> 'attempt') || case
                   when v.e -> 'outcome' -> 'succeeded' is not null then ' succeeded'
                   when v.e #>> '{outcome,failed,retryable}' = 'true' then ' failed without effect, may be repeated'
                   when v.e -> 'outcome' -> 'failed' is not null then ' failed without effect, for good'
                   when v.e -> 'outcome' -> 'pending' is not null then ' was accepted, effect pending'
                   else ' ended, effect unknown' end
               when 'probe_answered' then v.way || 'probe ' || (v.e ->> 'probe') || case
                   when v.e -> 'answer' -> 'applied' is not null then ' found the effect in place'
                   when v.e ->> 'answer' = 'absent' then ' found no effect'
                   else ' could not tell' end
               when 'approval_shown' then coalesce(
                   'asks: ' || (v.e #>> '{showing,shown,message}') || ' ' || (v.e #>> '{showing,shown,arguments}')
                   || ' (digest ' || (v.e #>> '{showing,shown,digest}') || ')',
                   'what is to be approved cannot be shown')
               when 'timer_fired' then 'woken by a timer'
               when 'owner_lost' then 'taken over from a node that died'
               when 'withdrawn' then 'handed back by a node that stopped in good order'
               when 'requested' then v.verb || coalesce(
                   ' as ' || case when json_typeof(v.asked -> 'finding') = 'string' then v.asked ->> 'finding'
                                  when v.asked -> 'finding' is not null then 'applied' end,
                   ' event ' || (v.asked ->> 'event'),
                   ' step ' || (v.asked #>> '{step,name}'),
                   '')
               when 'request_refused' then (v.e ->> 'verb') || ' was refused: ' || (v.e ->> 'reason')
               else v.kind
           end,
           coalesce(
               (v.e #>> '{outcome,failed,error,code}') || ': ' || (v.e #>> '{outcome,failed,error,message}'),
               (v.e #>> '{outcome,unknown,error,code}') || ': ' || (v.e #>> '{outcome,unknown,error,message}'),
               (v.e #>> '{answer,inconclusive,error,code}') || ': ' || (v.e #>> '{answer,inconclusive,error,message}'),
               (v.e #>> '{decision,failed,code}') || ': ' || (v.e #>> '{decision,failed,message}'),
               (v.e #>> '{showing,failed,code}') || ': ' || (v.e #>> '{showing,failed,message}')),
           s.n, coalesce(s.by, v.e ->> 'by', v.e #>> '{rerun,by}'), s.application_name, host(s.addr), s.at,
           coalesce(v.asked ->> 'reason', v.e #>> '{rerun,reason}', case when s.request is not null then
               (select r.value ->> 'reason' from json_each(case when json_typeof(amends.readable(s.request)) = 'object'
                                                                then amends.readable(s.request) else '{}' end) r
                where json_typeof(r.value) = 'object' limit 1) end),
           o.name
    from verb v
    left join named n on true
    left join amends.signal s on s.id = timeline_of.saga and s.n = (v.e ->> 'signal')::bigint
    left join amends.lane l on l.id = v.lane
    left join amends.node o on o.id = l.node
    order by v.seq
$$;
CREATE FUNCTION amends.undrain_node(node bigint, reason text DEFAULT ''::text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    v_signal bigint;
begin
    if undrain_node.node is not null then
        v_signal := amends.tell_fleet('undrain_node', null, undrain_node.node, undrain_node.reason);
    end if;
    update amends.fleet_signal d set lifted_by = v_signal
    where d.node = undrain_node.node and d.verb = 'drain_node' and d.lifted_by is null;
    if not found then
        raise exception 'expected a node that was told to drain, found %', coalesce(undrain_node.node::text, 'null')
            using errcode = 'AM009', hint = 'Legal now: drain_node. Those told: amends.node_drains, where held.';
    end if;
    return v_signal;
end
$$;
CREATE FUNCTION amends.uuid7() RETURNS uuid
    LANGUAGE sql PARALLEL SAFE
    AS $$
    select encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
                    from 1 for 6),
            52, 1), 53, 1),
        'hex')::uuid
$$;
CREATE FUNCTION amends.uuid_floor(at timestamp with time zone) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    select rpad(lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;
CREATE FUNCTION amends.uuid_time(id uuid) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    select to_timestamp(('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0)
$$;
CREATE FUNCTION amends.verb_of(request text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select coalesce((select k from json_object_keys(case when json_typeof(r.request) = 'object' then r.request else '{}' end) k
                     limit 1), r.request #>> '{}')
    from (select amends.readable(verb_of.request) as request) r
$$;
CREATE TABLE amends.access_token (
    id text NOT NULL,
    name text NOT NULL,
    digest bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone
);
CREATE TABLE amends.admin (
    revision integer NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone NOT NULL
);
CREATE TABLE amends.definition (
    id integer NOT NULL,
    digest text NOT NULL,
    name text NOT NULL,
    draft text NOT NULL,
    concurrency text[],
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE amends.ready (
    definition integer NOT NULL,
    n bigint NOT NULL,
    id uuid NOT NULL,
    input text,
    at timestamp with time zone DEFAULT amends.now() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');
CREATE VIEW amends.backlog AS
 SELECT d.name AS definition,
    d.digest,
    r.ready,
    o.at AS oldest_at,
    (amends.now() - o.at) AS oldest_age
   FROM ((amends.definition d
     CROSS JOIN LATERAL ( SELECT count(*) AS ready
           FROM ( SELECT
                   FROM amends.ready r_2
                  WHERE (r_2.definition = d.id)
                  ORDER BY r_2.n
                 LIMIT 10000) r_1) r)
     LEFT JOIN LATERAL ( SELECT r_1.at
           FROM amends.ready r_1
          WHERE (r_1.definition = d.id)
          ORDER BY r_1.n
         LIMIT 1) o ON (true))
  WHERE (r.ready > 0);
CREATE TABLE amends.census (
    definition integer NOT NULL,
    status text NOT NULL,
    sagas bigint NOT NULL,
    at timestamp with time zone NOT NULL
);
CREATE TABLE amends.fleet_signal (
    n bigint NOT NULL,
    verb text NOT NULL,
    definition text,
    node bigint,
    at timestamp with time zone NOT NULL,
    by text NOT NULL,
    application_name text NOT NULL,
    addr inet,
    reason text NOT NULL,
    lifted_by bigint,
    CONSTRAINT fleet_signal_check CHECK ((num_nonnulls(definition, node) = 1))
);
CREATE VIEW amends.definition_pauses AS
 SELECT p.definition,
    (p.lifted_by IS NULL) AS held,
    p.at,
    p.by,
    p.application_name,
    host(p.addr) AS address,
    p.reason,
    l.at AS resumed_at,
    l.by AS resumed_by,
    l.reason AS resume_reason,
    p.n AS signal,
    p.lifted_by AS resumed_with
   FROM (amends.fleet_signal p
     LEFT JOIN amends.fleet_signal l ON ((l.n = p.lifted_by)))
  WHERE (p.verb = 'pause_definition'::text);
CREATE TABLE amends.lane (
    id bigint NOT NULL,
    node bigint NOT NULL,
    live boolean DEFAULT true NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE amends.node (
    id bigint NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    ttl_ms bigint NOT NULL,
    joined_at timestamp with time zone NOT NULL,
    beat_at timestamp with time zone NOT NULL,
    steady_since timestamp with time zone NOT NULL,
    gone_at timestamp with time zone,
    sagas integer DEFAULT 0 NOT NULL,
    schema_version integer,
    disowned_at timestamp with time zone,
    draining boolean DEFAULT false NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500');
CREATE TABLE amends.saga (
    id uuid NOT NULL,
    lane bigint,
    signals bigint DEFAULT 0 NOT NULL,
    started_at timestamp with time zone NOT NULL,
    definition integer NOT NULL,
    deaths smallint DEFAULT 0 NOT NULL,
    tried boolean DEFAULT false NOT NULL,
    status text NOT NULL,
    attention text
)
WITH (fillfactor='85', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_cost_delay='0');
CREATE VIEW amends.nodes AS
 SELECT n.id AS node,
    n.name,
    n.version,
    n.schema_version,
        CASE
            WHEN (n.gone_at IS NOT NULL) THEN 'gone'::text
            WHEN (n.beat_at < (amends.now() - ((n.ttl_ms)::double precision * '00:00:00.001'::interval))) THEN 'late'::text
            WHEN (d.n IS NULL) THEN 'live'::text
            WHEN ((NOT n.draining) OR (EXISTS ( SELECT
               FROM amends.lane l
              WHERE ((l.node = n.id) AND (( SELECT g.id
                       FROM amends.saga g
                      WHERE (g.lane = l.id)
                     LIMIT 1) IS NOT NULL))))) THEN 'draining'::text
            ELSE 'drained'::text
        END AS state,
    n.joined_at,
    n.beat_at,
    n.gone_at,
    ((n.ttl_ms)::double precision * '00:00:00.001'::interval) AS time_to_live,
        CASE
            WHEN (n.gone_at IS NULL) THEN n.sagas
            ELSE 0
        END AS sagas,
    ( SELECT count(*) AS count
           FROM amends.lane l
          WHERE ((l.node = n.id) AND l.live)) AS lanes,
    d.at AS drained_since
   FROM (amends.node n
     LEFT JOIN amends.fleet_signal d ON (((d.node = n.id) AND (d.verb = 'drain_node'::text) AND (d.lifted_by IS NULL))));
CREATE TABLE amends.unreadable (
    id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    node bigint NOT NULL,
    reason text NOT NULL
);
CREATE VIEW amends.stuck AS
 SELECT g.id AS saga,
    d.name AS definition,
    a.step,
    a.direction,
    a.stuck AS reason,
        CASE a.stuck
            WHEN 'in_doubt'::text THEN 'nobody knows whether it took effect, and no declared means is left to find out'::text
            WHEN 'failed'::text THEN 'it failed for good where the saga cannot turn back'::text
            WHEN 'process_died'::text THEN 'the process died too often during it'::text
            ELSE NULL::text
        END AS meaning,
    to_timestamp((((a.since)::numeric / 1000.0))::double precision) AS since,
    a.in_doubt,
    a.error_code,
    a.error,
    a.attempts,
    a.probes,
    a.key,
    ARRAY( SELECT json_array_elements_text(a.legal) AS json_array_elements_text) AS legal,
    g.started_at
   FROM ((amends.saga g
     JOIN amends.definition d ON ((d.id = g.definition)))
     CROSS JOIN LATERAL json_to_recordset((g.attention)::json) a(step text, direction text, in_doubt boolean, stuck text, since bigint, attempts integer, probes integer, error_code text, error text, key text, legal json))
  WHERE ((g.attention IS NOT NULL) AND (a.stuck IS NOT NULL))
UNION ALL
 SELECT u.id AS saga,
    d.name AS definition,
    NULL::text AS step,
    NULL::text AS direction,
        CASE
            WHEN (g.deaths > 0) THEN 'process_died'::text
            ELSE 'unreadable'::text
        END AS reason,
        CASE
            WHEN (g.deaths > 0) THEN 'each process died that took it up: find out why in the logs of the nodes'::text
            ELSE 'no node can read its journal: run one of a newer version, or restore the row'::text
        END AS meaning,
    u.at AS since,
    false AS in_doubt,
    NULL::text AS error_code,
    u.reason AS error,
    NULL::integer AS attempts,
    NULL::integer AS probes,
    NULL::text AS key,
        CASE
            WHEN (g.deaths > 0) THEN ARRAY['resume'::text]
            ELSE '{}'::text[]
        END AS legal,
    g.started_at
   FROM ((amends.unreadable u
     JOIN amends.saga g ON ((g.id = u.id)))
     JOIN amends.definition d ON ((d.id = g.definition)));
CREATE VIEW amends.checkup AS
 SELECT c.subject,
        CASE
            WHEN c.fault THEN 'fault'::text
            WHEN c.warning THEN 'warning'::text
            ELSE 'ok'::text
        END AS level,
    c.found,
        CASE
            WHEN (c.fault OR c.warning) THEN c.remedy
            ELSE NULL::text
        END AS remedy
   FROM ( SELECT 'durability'::text AS "?column?",
            ((current_setting('fsync'::text) <> 'on'::text) OR (current_setting('full_page_writes'::text) <> 'on'::text)) AS "?column?",
            false AS "?column?",
            format('fsync %s, full_page_writes %s'::text, current_setting('fsync'::text), current_setting('full_page_writes'::text)) AS format,
            'what is acknowledged may be lost with a crash of the server: turn both on and restart it'::text AS "?column?"
        UNION ALL
         SELECT 'vacuum'::text,
            ((current_setting('autovacuum'::text) <> 'on'::text) OR (current_setting('track_counts'::text) <> 'on'::text)),
            false,
            format('autovacuum %s, track_counts %s'::text, current_setting('autovacuum'::text), current_setting('track_counts'::text)) AS format,
            'dead rows pile up at the head of the queue: turn both on'::text
        UNION ALL
         SELECT 'roles'::text,
            false,
            (count(*) FILTER (WHERE (to_regrole(r.name) IS NULL)) > 0),
            COALESCE(('missing: '::text || string_agg(r.name, ', '::text) FILTER (WHERE (to_regrole(r.name) IS NULL))), 'all four are there'::text) AS "coalesce",
            'create them (nologin) as somebody who may, then run `amends migrate` again for the grants'::text
           FROM ( VALUES ('amends_viewer'::text), ('amends_producer'::text), ('amends_operator'::text), ('amends_runtime'::text)) r(name)
        UNION ALL
         SELECT 'grants'::text,
            (count(p.oid) > 0),
            false,
                CASE
                    WHEN (count(p.oid) = 0) THEN 'nothing is granted to everybody'::text
                    ELSE ('everybody may call '::text || string_agg((p.proname)::text, ', '::text))
                END AS "case",
            'revoke it from public; `amends migrate` does'::text
           FROM pg_proc p
          WHERE ((p.pronamespace = ('amends'::regnamespace)::oid) AND (EXISTS ( SELECT
                   FROM aclexplode(COALESCE(p.proacl, acldefault('f'::"char", p.proowner))) a(grantor, grantee, privilege_type, is_grantable)
                  WHERE (a.grantee = (0)::oid))))
        UNION ALL
         SELECT ('partitions of '::text || t.name),
            (count(c_1.oid) = 0),
            (count(c_1.oid) = 1),
            (count(c_1.oid) || ' ahead'::text),
            'nodes make them: does one run, and does its log say `chore not done`?'::text
           FROM (( VALUES ('journal'::text), ('saga_done'::text)) t(name)
             LEFT JOIN pg_class c_1 ON (((c_1.relnamespace = ('amends'::regnamespace)::oid) AND (c_1.relkind = 'r'::"char") AND (c_1.relname ~ (('^'::text || t.name) || '_[0-9]{8}$'::text)) AND (c_1.relname > ((t.name || '_'::text) || to_char(amends.now(), 'YYYYMMDD'::text))))))
          GROUP BY t.name
        UNION ALL
         SELECT 'oldest snapshot'::text,
            ((x.age)::numeric > '50000000'::numeric),
            ((x.age)::numeric > '5000000'::numeric),
            ((x.age || ' transactions ago, by '::text) || x.holder),
            'dead rows cannot be removed until it is gone: end that transaction, or drop that slot'::text
           FROM ( SELECT h.age,
                    h.holder
                   FROM ( SELECT (age(a.backend_xmin))::bigint AS age,
                            (('process '::text || a.pid) || COALESCE((' of '::text || (a.usename)::text), ''::text)) AS holder
                           FROM pg_stat_activity a
                          WHERE (a.backend_xmin IS NOT NULL)
                        UNION ALL
                         SELECT (GREATEST(age(s.xmin), age(s.catalog_xmin)))::bigint AS "greatest",
                            ('slot '::text || (s.slot_name)::text)
                           FROM pg_replication_slots s
                          WHERE (COALESCE(s.xmin, s.catalog_xmin) IS NOT NULL)
                        UNION ALL
                         SELECT (age(p.transaction))::bigint AS age,
                            ('prepared transaction '::text || p.gid)
                           FROM pg_prepared_xacts p) h
                  ORDER BY h.age DESC
                 LIMIT 1) x
        UNION ALL
         SELECT 'replication slots'::text,
            ((COALESCE(max(b.bytes), (0)::bigint))::numeric > '10000000000'::numeric),
            (count(*) FILTER (WHERE (NOT b.active)) > 0),
                CASE
                    WHEN (count(*) = 0) THEN 'none'::text
                    ELSE string_agg(format('%s%s holds back %s'::text, b.slot_name,
                    CASE
                        WHEN b.active THEN ''::text
                        ELSE ' (nobody reads it)'::text
                    END, pg_size_pretty(b.bytes)), '; '::text)
                END AS string_agg,
            'a slot that nobody reads fills the disk: mend its reader, or drop the slot'::text
           FROM ( SELECT s.slot_name,
                    s.active,
                    (pg_wal_lsn_diff(pg_current_wal_insert_lsn(), s.restart_lsn))::bigint AS bytes
                   FROM pg_replication_slots s) b
        UNION ALL
         SELECT 'dead rows'::text,
            false,
            ((COALESCE(max(t.n_dead_tup), (0)::bigint))::numeric > '1000000'::numeric),
            COALESCE(('most in '::text || (array_agg((((t.relname)::text || ': '::text) || t.n_dead_tup) ORDER BY t.n_dead_tup DESC))[1]), 'none'::text) AS "coalesce",
            'vacuum does not keep up: see the oldest snapshot, then vacuum that table by hand'::text
           FROM pg_stat_user_tables t
          WHERE (t.schemaname = 'amends'::name)
        UNION ALL
         SELECT 'nodes'::text,
            false,
            ((count(*) FILTER (WHERE (n.state = 'live'::text)) = 0) OR (count(*) FILTER (WHERE (n.state = 'late'::text)) > 0)),
            format('%s live, %s late'::text, count(*) FILTER (WHERE (n.state = 'live'::text)), count(*) FILTER (WHERE (n.state = 'late'::text))) AS format,
            'nothing moves without a live node: `amends serve`'::text
           FROM amends.nodes n
        UNION ALL
         SELECT 'stuck sagas'::text,
            false,
            (count(*) > 0),
            (count(*))::text AS count,
            'they need a person: select * from amends.stuck'::text
           FROM ( SELECT
                   FROM amends.stuck
                 LIMIT 1000) s
        UNION ALL
         SELECT 'waits for a node'::text,
            false,
            (COALESCE(max(b.oldest_age), '00:00:00'::interval) > '00:01:00'::interval),
            COALESCE(('longest '::text || max(b.oldest_age)), 'none'::text) AS "coalesce",
            'no node can run them, or all are full: select * from amends.backlog, amends.nodes'::text
           FROM amends.backlog b
        UNION ALL
         SELECT 'paused definitions'::text,
            false,
            (count(*) > 0),
            COALESCE(string_agg(p.definition, ', '::text), 'none'::text) AS "coalesce",
            'an operator did that: select * from amends.definition_pauses; amends.resume_definition'::text
           FROM amends.definition_pauses p
          WHERE p.held
        UNION ALL
         SELECT 'drained nodes'::text,
            false,
            (count(*) > 0),
            COALESCE(string_agg(format('%s (%s)'::text, n.node, n.name), ', '::text ORDER BY n.node), 'none'::text) AS "coalesce",
            'an operator did that: select * from amends.node_drains; stop them, or amends.undrain_node'::text
           FROM amends.nodes n
          WHERE (n.state = ANY (ARRAY['draining'::text, 'drained'::text]))) c(subject, fault, warning, found, remedy);
CREATE TABLE amends.current_definition (
    name text NOT NULL,
    definition integer NOT NULL
);
ALTER TABLE amends.definition ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME amends.definition_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE VIEW amends.definitions AS
 SELECT d.name,
    d.digest,
    (c.definition IS NOT NULL) AS current,
    COALESCE(s.live, (0)::bigint) AS live,
    COALESCE(s.stuck, (0)::bigint) AS stuck,
    COALESCE(s.paused, (0)::bigint) AS paused,
    ( SELECT max(c_1.at) AS max
           FROM amends.census c_1) AS counted_at,
    d.created_at,
    ((d.draft)::json ->> 'description'::text) AS description
   FROM ((amends.definition d
     LEFT JOIN amends.current_definition c ON ((c.definition = d.id)))
     LEFT JOIN LATERAL ( SELECT (sum(c_1.sagas))::bigint AS live,
            (sum(c_1.sagas) FILTER (WHERE (c_1.status = 'stuck'::text)))::bigint AS stuck,
            (sum(c_1.sagas) FILTER (WHERE (c_1.status = 'paused'::text)))::bigint AS paused
           FROM amends.census c_1
          WHERE (c_1.definition = d.id)) s ON (true));
CREATE TABLE amends.eviction (
    id uuid NOT NULL,
    lane bigint NOT NULL,
    at timestamp with time zone NOT NULL
);
ALTER TABLE amends.fleet_signal ALTER COLUMN n ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME amends.fleet_signal_n_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE VIEW amends.in_doubt AS
 SELECT g.id AS saga,
    d.name AS definition,
    a.step,
    a.direction,
    (a.stuck IS NOT NULL) AS stuck,
    to_timestamp((((a.since)::numeric / 1000.0))::double precision) AS since,
    a.error_code,
    a.error,
    a.attempts,
    a.probes,
    a.key,
    ARRAY( SELECT json_array_elements_text(a.legal) AS json_array_elements_text) AS legal,
    g.status,
    g.started_at
   FROM ((amends.saga g
     JOIN amends.definition d ON ((d.id = g.definition)))
     CROSS JOIN LATERAL json_to_recordset((g.attention)::json) a(step text, direction text, in_doubt boolean, stuck text, since bigint, attempts integer, probes integer, error_code text, error text, key text, legal json))
  WHERE ((g.attention IS NOT NULL) AND a.in_doubt);
CREATE TABLE amends.inbox (
    lane bigint NOT NULL,
    n bigint NOT NULL,
    id uuid NOT NULL,
    definition integer NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');
ALTER TABLE amends.inbox ALTER COLUMN n ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME amends.inbox_n_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE amends.journal (
    id uuid NOT NULL,
    lane bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    seq integer NOT NULL,
    kind text NOT NULL,
    body text NOT NULL
)
PARTITION BY RANGE (id);
CREATE TABLE amends.journal_20261123 (
    id uuid NOT NULL,
    lane bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    seq integer NOT NULL,
    kind text NOT NULL,
    body text NOT NULL
);
CREATE TABLE amends.journal_20261130 (
    id uuid NOT NULL,
    lane bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    seq integer NOT NULL,
    kind text NOT NULL,
    body text NOT NULL
);
CREATE TABLE amends.journal_20261207 (
    id uuid NOT NULL,
    lane bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    seq integer NOT NULL,
    kind text NOT NULL,
    body text NOT NULL
);
CREATE TABLE amends.journal_20261214 (
    id uuid NOT NULL,
    lane bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    seq integer NOT NULL,
    kind text NOT NULL,
    body text NOT NULL
);
CREATE TABLE amends.journal_20261221 (
    id uuid NOT NULL,
    lane bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    seq integer NOT NULL,
    kind text NOT NULL,
    body text NOT NULL
);
CREATE TABLE amends.journal_default (
    id uuid NOT NULL,
    lane bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    seq integer NOT NULL,
    kind text NOT NULL,
    body text NOT NULL
);
CREATE TABLE amends.knock (
    n bigint NOT NULL,
    name text NOT NULL,
    key text NOT NULL,
    id uuid
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');
ALTER TABLE amends.knock ALTER COLUMN n ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME amends.knock_n_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE amends.lane ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME amends.lane_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE amends.migration (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE VIEW amends.node_drains AS
 SELECT d.node,
    n.name,
    (d.lifted_by IS NULL) AS held,
    d.at,
    d.by,
    d.application_name,
    host(d.addr) AS address,
    d.reason,
    l.at AS undone_at,
    l.by AS undone_by,
    l.reason AS undo_reason,
    d.n AS signal,
    d.lifted_by AS undone_with
   FROM ((amends.fleet_signal d
     LEFT JOIN amends.fleet_signal l ON ((l.n = d.lifted_by)))
     LEFT JOIN amends.node n ON ((n.id = d.node)))
  WHERE (d.verb = 'drain_node'::text);
ALTER TABLE amends.node ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME amends.node_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE amends.outbox (
    n bigint NOT NULL,
    id uuid NOT NULL,
    seq integer NOT NULL,
    at timestamp with time zone NOT NULL,
    body text NOT NULL,
    due_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    node bigint,
    attempts integer DEFAULT 0 NOT NULL,
    error text
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');
CREATE VIEW amends.outbox_lag AS
 SELECT c.events,
    o.at AS oldest_at,
    (amends.now() - o.at) AS oldest_age
   FROM (( SELECT count(*) AS events
           FROM ( SELECT
                   FROM amends.outbox
                 LIMIT 10000) o_1) c
     LEFT JOIN LATERAL ( SELECT o_1.at
           FROM amends.outbox o_1
          ORDER BY o_1.n
         LIMIT 1) o ON (true));
ALTER TABLE amends.outbox ALTER COLUMN n ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME amends.outbox_n_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE amends.passage (
    minute timestamp with time zone NOT NULL,
    definition integer NOT NULL,
    node bigint NOT NULL,
    started bigint NOT NULL,
    completed bigint NOT NULL,
    compensated bigint NOT NULL,
    abandoned bigint NOT NULL,
    stuck bigint NOT NULL
);
ALTER TABLE amends.ready ALTER COLUMN n ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME amends.ready_n_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE amends.rerun (
    n bigint NOT NULL,
    id uuid NOT NULL,
    step text NOT NULL,
    rerun uuid NOT NULL,
    definition integer NOT NULL,
    at timestamp with time zone NOT NULL,
    by text NOT NULL,
    application_name text NOT NULL,
    addr inet,
    reason text NOT NULL,
    due_at timestamp with time zone NOT NULL,
    node bigint,
    deaths smallint DEFAULT 0 NOT NULL,
    fate text,
    answer text
);
ALTER TABLE amends.rerun ALTER COLUMN n ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME amends.rerun_n_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE VIEW amends.reruns AS
 SELECT r.id AS saga,
    r.step,
    r.rerun,
    COALESCE(r.fate, 'waiting'::text) AS fate,
    r.answer,
    r.at AS asked_at,
    r.by AS asked_by,
    r.application_name,
    host(r.addr) AS address,
    r.reason
   FROM amends.rerun r;
CREATE TABLE amends.saga_done (
    id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    signals bigint NOT NULL,
    definition integer NOT NULL,
    status text NOT NULL,
    result text,
    CONSTRAINT saga_done_status CHECK ((status = ANY (ARRAY['completed'::text, 'compensated'::text, 'abandoned'::text])))
)
PARTITION BY RANGE (ended_at);
CREATE TABLE amends.saga_done_20261129 (
    id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    signals bigint NOT NULL,
    definition integer NOT NULL,
    status text NOT NULL,
    result text,
    CONSTRAINT saga_done_status CHECK ((status = ANY (ARRAY['completed'::text, 'compensated'::text, 'abandoned'::text])))
);
CREATE TABLE amends.saga_done_20261130 (
    id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    signals bigint NOT NULL,
    definition integer NOT NULL,
    status text NOT NULL,
    result text,
    CONSTRAINT saga_done_status CHECK ((status = ANY (ARRAY['completed'::text, 'compensated'::text, 'abandoned'::text])))
);
CREATE TABLE amends.saga_done_20261201 (
    id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    signals bigint NOT NULL,
    definition integer NOT NULL,
    status text NOT NULL,
    result text,
    CONSTRAINT saga_done_status CHECK ((status = ANY (ARRAY['completed'::text, 'compensated'::text, 'abandoned'::text])))
);
CREATE TABLE amends.saga_done_20261202 (
    id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    signals bigint NOT NULL,
    definition integer NOT NULL,
    status text NOT NULL,
    result text,
    CONSTRAINT saga_done_status CHECK ((status = ANY (ARRAY['completed'::text, 'compensated'::text, 'abandoned'::text])))
);
CREATE TABLE amends.saga_done_20261203 (
    id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    signals bigint NOT NULL,
    definition integer NOT NULL,
    status text NOT NULL,
    result text,
    CONSTRAINT saga_done_status CHECK ((status = ANY (ARRAY['completed'::text, 'compensated'::text, 'abandoned'::text])))
);
CREATE TABLE amends.saga_done_20261204 (
    id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    signals bigint NOT NULL,
    definition integer NOT NULL,
    status text NOT NULL,
    result text,
    CONSTRAINT saga_done_status CHECK ((status = ANY (ARRAY['completed'::text, 'compensated'::text, 'abandoned'::text])))
);
CREATE TABLE amends.saga_done_20261205 (
    id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    signals bigint NOT NULL,
    definition integer NOT NULL,
    status text NOT NULL,
    result text,
    CONSTRAINT saga_done_status CHECK ((status = ANY (ARRAY['completed'::text, 'compensated'::text, 'abandoned'::text])))
);
CREATE TABLE amends.saga_done_20261206 (
    id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    signals bigint NOT NULL,
    definition integer NOT NULL,
    status text NOT NULL,
    result text,
    CONSTRAINT saga_done_status CHECK ((status = ANY (ARRAY['completed'::text, 'compensated'::text, 'abandoned'::text])))
);
CREATE TABLE amends.saga_done_default (
    id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    signals bigint NOT NULL,
    definition integer NOT NULL,
    status text NOT NULL,
    result text,
    CONSTRAINT saga_done_status CHECK ((status = ANY (ARRAY['completed'::text, 'compensated'::text, 'abandoned'::text])))
);
CREATE TABLE amends.timer (
    id uuid NOT NULL,
    fire_at timestamp with time zone NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');
CREATE VIEW amends.sagas AS
 SELECT s.id AS saga,
    d.name AS definition,
    s.status,
    s.started_at,
    s.ended_at,
    t.fire_at AS wakes_at,
    n.name AS node,
    s.signals,
    d.digest,
    s.result,
    (s.attention IS NOT NULL) AS needs_attention
   FROM ((((( SELECT g.id,
            g.definition,
            g.status,
            g.lane,
            g.signals,
            g.started_at,
            NULL::timestamp with time zone AS ended_at,
            NULL::text AS result,
            g.attention
           FROM amends.saga g
        UNION ALL
         SELECT g.id,
            g.definition,
            g.status,
            NULL::bigint,
            g.signals,
            g.started_at,
            g.ended_at,
            g.result,
            NULL::text
           FROM amends.saga_done g) s
     JOIN amends.definition d ON ((d.id = s.definition)))
     LEFT JOIN amends.lane l ON ((l.id = s.lane)))
     LEFT JOIN amends.node n ON ((n.id = l.node)))
     LEFT JOIN amends.timer t ON (((t.id = s.id) AND (s.ended_at IS NULL))));
CREATE TABLE amends.signal (
    id uuid NOT NULL,
    n bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    by text NOT NULL,
    application_name text NOT NULL,
    addr inet,
    request text NOT NULL,
    fate text,
    answer text
);
CREATE VIEW amends.signals AS
 SELECT s.id AS saga,
    s.n AS signal,
    s.at AS asked_at,
    s.by AS asked_by,
    s.application_name,
    host(s.addr) AS address,
    s.request,
    COALESCE(s.fate,
        CASE
            WHEN (g.id IS NULL) THEN 'too_late'::text
            ELSE 'waiting'::text
        END) AS fate,
    s.answer
   FROM (amends.signal s
     LEFT JOIN amends.saga g ON ((g.id = s.id)))
UNION ALL
 SELECT r.rerun AS saga,
    0 AS signal,
    r.at AS asked_at,
    r.by AS asked_by,
    r.application_name,
    host(r.addr) AS address,
    (json_build_object('rerun_from', json_build_object('saga', r.id, 'step', r.step, 'reason', r.reason)))::text AS request,
    COALESCE(r.fate, 'waiting'::text) AS fate,
    r.answer
   FROM amends.rerun r
UNION ALL
 SELECT NULL::uuid AS saga,
    f.n AS signal,
    f.at AS asked_at,
    f.by AS asked_by,
    f.application_name,
    host(f.addr) AS address,
    (json_build_object(f.verb, json_strip_nulls(json_build_object('definition', f.definition, 'node', f.node, 'reason', f.reason))))::text AS request,
        CASE
            WHEN ((n.draining <> (f.verb = 'drain_node'::text)) AND (f.n = ( SELECT max(l.n) AS max
               FROM amends.fleet_signal l
              WHERE (l.node = f.node)))) THEN 'waiting'::text
            ELSE 'applied'::text
        END AS fate,
    NULL::text AS answer
   FROM (amends.fleet_signal f
     LEFT JOIN amends.node n ON (((n.id = f.node) AND (n.gone_at IS NULL) AND (n.disowned_at IS NULL))));
CREATE TABLE amends.start_key (
    name text NOT NULL,
    key text NOT NULL,
    id uuid NOT NULL,
    digest bytea NOT NULL,
    at timestamp with time zone NOT NULL
);
CREATE VIEW amends.steps AS
 SELECT s.id AS saga,
    f."position",
    f.step,
    f.kind,
    f.state,
    f.attempts,
    f.compensation_attempts,
    f.probes,
    f.last_outcome,
    f.error,
    f.since,
    f.output
   FROM (( SELECT g.id
           FROM amends.saga g
        UNION ALL
         SELECT g.id
           FROM amends.saga_done g) s
     CROSS JOIN LATERAL amends.steps_of(s.id) f("position", step, kind, state, attempts, compensation_attempts, probes, last_outcome, error, since, output));
CREATE VIEW amends.throughput AS
 SELECT p.minute,
    d.name AS definition,
    (sum(p.started))::bigint AS started,
    (sum(p.completed))::bigint AS completed,
    (sum(p.compensated))::bigint AS compensated,
    (sum(p.abandoned))::bigint AS abandoned,
    (sum(p.stuck))::bigint AS stuck
   FROM (amends.passage p
     JOIN amends.definition d ON ((d.id = p.definition)))
  GROUP BY p.minute, d.name;
CREATE VIEW amends.timeline AS
 SELECT s.id AS saga,
    f.seq,
    f.at,
    f.kind,
    f.step,
    f.what,
    f.error,
    f.signal,
    f.asked_by,
    f.application_name,
    f.address,
    f.asked_at,
    f.reason,
    f.node
   FROM (( SELECT g.id
           FROM amends.saga g
        UNION ALL
         SELECT g.id
           FROM amends.saga_done g) s
     CROSS JOIN LATERAL amends.timeline_of(s.id) f(seq, at, kind, step, what, error, signal, asked_by, application_name, address, asked_at, reason, node));
CREATE VIEW amends.timers AS
 SELECT t.id AS saga,
    d.name AS definition,
    g.status,
    t.fire_at AS fires_at,
    (t.fire_at < amends.now()) AS overdue
   FROM ((amends.timer t
     JOIN amends.saga g ON ((g.id = t.id)))
     JOIN amends.definition d ON ((d.id = g.definition)));
CREATE TABLE amends.turn (
    name text NOT NULL,
    key text NOT NULL,
    holder uuid NOT NULL
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');
CREATE TABLE amends.waiting (
    name text NOT NULL,
    key text NOT NULL,
    n bigint NOT NULL,
    id uuid NOT NULL,
    definition integer NOT NULL,
    input text NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');
ALTER TABLE amends.waiting ALTER COLUMN n ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME amends.waiting_n_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE ledger.call (
    n bigint NOT NULL,
    era text NOT NULL,
    saga text NOT NULL,
    step text NOT NULL,
    call text NOT NULL,
    attempt integer NOT NULL,
    key text NOT NULL,
    action_key text
);
ALTER TABLE ledger.call ALTER COLUMN n ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ledger.call_n_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE ledger.effect (
    saga text NOT NULL,
    step text NOT NULL,
    direction text NOT NULL,
    key text NOT NULL,
    action_key text
);
CREATE TABLE ledger.told (
    saga text NOT NULL,
    key text NOT NULL
);
ALTER TABLE ONLY amends.journal ATTACH PARTITION amends.journal_20261123 FOR VALUES FROM ('01a205b3-d000-0000-0000-000000000000') TO ('01a229c0-5400-0000-0000-000000000000');
ALTER TABLE ONLY amends.journal ATTACH PARTITION amends.journal_20261130 FOR VALUES FROM ('01a229c0-5400-0000-0000-000000000000') TO ('01a24dcc-d800-0000-0000-000000000000');
ALTER TABLE ONLY amends.journal ATTACH PARTITION amends.journal_20261207 FOR VALUES FROM ('01a24dcc-d800-0000-0000-000000000000') TO ('01a271d9-5c00-0000-0000-000000000000');
ALTER TABLE ONLY amends.journal ATTACH PARTITION amends.journal_20261214 FOR VALUES FROM ('01a271d9-5c00-0000-0000-000000000000') TO ('01a295e5-e000-0000-0000-000000000000');
ALTER TABLE ONLY amends.journal ATTACH PARTITION amends.journal_20261221 FOR VALUES FROM ('01a295e5-e000-0000-0000-000000000000') TO ('01a2b9f2-6400-0000-0000-000000000000');
ALTER TABLE ONLY amends.journal ATTACH PARTITION amends.journal_default DEFAULT;
ALTER TABLE ONLY amends.saga_done ATTACH PARTITION amends.saga_done_20261129 FOR VALUES FROM ('2026-11-29 00:00:00+00') TO ('2026-11-30 00:00:00+00');
ALTER TABLE ONLY amends.saga_done ATTACH PARTITION amends.saga_done_20261130 FOR VALUES FROM ('2026-11-30 00:00:00+00') TO ('2026-12-01 00:00:00+00');
ALTER TABLE ONLY amends.saga_done ATTACH PARTITION amends.saga_done_20261201 FOR VALUES FROM ('2026-12-01 00:00:00+00') TO ('2026-12-02 00:00:00+00');
ALTER TABLE ONLY amends.saga_done ATTACH PARTITION amends.saga_done_20261202 FOR VALUES FROM ('2026-12-02 00:00:00+00') TO ('2026-12-03 00:00:00+00');
ALTER TABLE ONLY amends.saga_done ATTACH PARTITION amends.saga_done_20261203 FOR VALUES FROM ('2026-12-03 00:00:00+00') TO ('2026-12-04 00:00:00+00');
ALTER TABLE ONLY amends.saga_done ATTACH PARTITION amends.saga_done_20261204 FOR VALUES FROM ('2026-12-04 00:00:00+00') TO ('2026-12-05 00:00:00+00');
ALTER TABLE ONLY amends.saga_done ATTACH PARTITION amends.saga_done_20261205 FOR VALUES FROM ('2026-12-05 00:00:00+00') TO ('2026-12-06 00:00:00+00');
ALTER TABLE ONLY amends.saga_done ATTACH PARTITION amends.saga_done_20261206 FOR VALUES FROM ('2026-12-06 00:00:00+00') TO ('2026-12-07 00:00:00+00');
ALTER TABLE ONLY amends.saga_done ATTACH PARTITION amends.saga_done_default DEFAULT;
INSERT INTO amends.admin VALUES
	(10, 'cc3662904996a29881ed2fdee5a7634fbb879646aa99c4544fb322aa55c69f94', '2026-11-29 13:50:47.433203+00');
INSERT INTO amends.census VALUES
	(13, 'running', 1, '2026-11-29 13:50:48.630236+00');
INSERT INTO amends.current_definition VALUES
	('trip', 1),
	('ticket', 2),
	('blind', 3),
	('safe', 4),
	('waits', 5),
	('naps', 6),
	('asks', 7),
	('parcel', 8),
	('cart', 9),
	('within', 10),
	('turns', 11),
	('tells', 12),
	('cursed', 13);
INSERT INTO amends.definition OVERRIDING SYSTEM VALUE VALUES
	(1, '65fc544bd00dcdc0e8d92f60fe0c5859ecb63825763d5e98c9780ce4aa404775', 'trip', '{"name":"trip","input":true,"steps":[{"name":"a","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},{"name":"b","needs":["a"],"kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}}],"retention_ms":315360000000}', NULL, '2026-11-29 13:50:47.941847+00'),
	(2, '8dc0abc5378bf9724a5e97f45981963c0c88a00a49bb500d3bbef8f5657eb2c8', 'ticket', '{"name":"ticket","input":true,"steps":[{"name":"a","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make_twice"}},"effect":"once","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":60000,"probe":{"target":{"handler":{"name":"find"}},"applied":"result.found","absent":"!result.found","retry":{"attempts":10,"backoff_ms":60000,"multiplier":1.0,"backoff_max_ms":60000,"jitter":0.0},"timeout_ms":30000}}},"compensation":{"target":{"handler":{"name":"undo_twice"}},"effect":"once","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":60000,"probe":{"target":{"handler":{"name":"find"}},"applied":"result.found","absent":"!result.found","retry":{"attempts":10,"backoff_ms":60000,"multiplier":1.0,"backoff_max_ms":60000,"jitter":0.0},"timeout_ms":30000}}},{"name":"b","needs":["a"],"kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}}],"retention_ms":315360000000}', NULL, '2026-11-29 13:50:47.944826+00'),
	(3, '4b6e3a554ed6509dd231cd65ed8a3de8440e4f0f720d11a242f57d083ddcef56', 'blind', '{"name":"blind","input":true,"steps":[{"name":"a","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},{"name":"b","needs":["a"],"kind":"compensable","action":{"call":{"target":{"handler":{"name":"make_twice"}},"effect":"once","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}}],"retention_ms":315360000000}', NULL, '2026-11-29 13:50:47.945283+00'),
	(4, 'b60b6fd2d83e66b42309660765e7cd109568a825ec0877c788edff30a4fec60a', 'safe', '{"name":"safe","input":true,"steps":[{"name":"a","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},{"name":"b","needs":["a"],"kind":"compensable","action":{"call":{"target":{"handler":{"name":"make_twice"}},"effect":"once","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":60000}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100},"safe_when_absent":true}],"retention_ms":315360000000}', NULL, '2026-11-29 13:50:47.951102+00'),
	(5, 'b8c37505a7d2e0451e14472c1e1d34ef6d77b0609c466a2c1e8404fe2cf92fef', 'waits', '{"name":"waits","input":true,"steps":[{"name":"a","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},{"name":"go","needs":["a"],"kind":"compensable","action":{"await":{"event":"go"}}},{"name":"b","needs":["go"],"kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}}],"retention_ms":315360000000}', NULL, '2026-11-29 13:50:47.951623+00'),
	(6, '620810364b7e3889ddd7523ad55805239a2b4584b4576de6e0e26c658575a95a', 'naps', '{"name":"naps","input":true,"steps":[{"name":"a","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},{"name":"nap","needs":["a"],"kind":"compensable","action":{"sleep":{"for_ms":60000}}},{"name":"b","needs":["nap"],"kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}}],"retention_ms":315360000000}', NULL, '2026-11-29 13:50:47.95208+00'),
	(7, 'd88c2f29fd7cfc0f72b83d60539c7438f3e125af52810d6cc31638401d8b5b1c', 'asks', '{"name":"asks","input":true,"steps":[{"name":"a","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},{"name":"may","needs":["a"],"kind":"compensable","action":{"approval":{"message":"May ${ steps.a.key } go on?","arguments":{"key":"${ steps.a.key }"}}}},{"name":"b","needs":["may"],"kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}}],"retention_ms":315360000000}', NULL, '2026-11-29 13:50:47.95255+00'),
	(8, 'f8128403009390390cb86a0b4aac1fbf3123b23098b73c99d873f5ac6fd6afa5', 'parcel', '{"name":"parcel","input":true,"steps":[{"name":"a","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},{"name":"p","needs":["a"],"kind":"pivot","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}}},{"name":"b","needs":["p"],"kind":"retriable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}}}],"retention_ms":315360000000}', NULL, '2026-11-29 13:50:47.953985+00'),
	(9, 'dcc03cd671232b81c452309645af67027078c006b8819180b3a1a7c91f95e745', 'cart', '{"name":"cart","input":true,"steps":[],"retention_ms":315360000000,"open":{"lease_ms":315360000000}}', NULL, '2026-11-29 13:50:47.958989+00'),
	(10, '59d306051e86fa4b43169253a637e7e7d58371e87ca37152ad094315098f4b3b', 'within', '{"name":"within","input":true,"steps":[{"name":"a","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},{"name":"b","needs":["a"],"kind":"compensable","action":{"call":{"target":{"handler":{"name":"make_within"}},"effect":"transactional","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":10000}},"compensation":{"target":{"handler":{"name":"undo_within"}},"effect":"transactional","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":10000}},{"name":"c","needs":["b"],"kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}}],"retention_ms":315360000000}', NULL, '2026-11-29 13:50:47.962614+00'),
	(11, 'c56994d6b330fa535fde99a7d1e77055944a10f13941a05545042c1b9fff9eb1', 'turns', '{"name":"turns","input":true,"steps":[{"name":"a","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}}],"retention_ms":315360000000,"concurrency":"input.guest"}', '{guest}', '2026-11-29 13:50:47.963259+00'),
	(12, '40e1eacf431b4f7644d40ac5dd67729b2f4ce208549e44cb607bb46f1bfc381a', 'tells', '{"name":"tells","input":true,"steps":[{"name":"a","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}}],"retention_ms":315360000000,"on_end":{"target":{"handler":{"name":"tell"}},"timeout_ms":10000}}', NULL, '2026-11-29 13:50:47.963659+00'),
	(13, '83f7accad39885dc9fe393e32d249e5bcbd9d0b381ad69057e5c479d663f21aa', 'cursed', '{"name":"cursed","input":true,"steps":[{"name":"a","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},{"name":"go","needs":["a"],"kind":"compensable","action":{"await":{"event":"go"}}}],"retention_ms":315360000000}', NULL, '2026-11-29 13:50:47.965735+00');
INSERT INTO amends.fleet_signal OVERRIDING SYSTEM VALUE VALUES
	(1, 'pause_definition', 'cursed', NULL, '2026-11-29 13:51:03.785365+00', 'postgres', 'psql', '127.0.0.1', 'it kills nodes', NULL);
INSERT INTO amends.journal_20261123 VALUES
	('01a22792-9792-7826-a021-b4395b3ba653', 3, '2026-11-29 13:50:48.588968+00', 1, 'started', '{"started":{"at":1795960248589,"input":{}}}'),
	('01a22792-9792-7826-a021-b4395b3ba653', 3, '2026-11-29 13:50:48.642458+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960248649,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-9792-7826-a021-b4395b3ba653/a/action/0"}}},"jitter":0.653094469809309}}'),
	('01a22792-c0eb-7696-8679-9ad0adde181d', 13, '2026-11-29 13:50:59.137186+00', 1, 'started', '{"started":{"at":1795960259137,"input":{}}}'),
	('01a22792-c0eb-7696-8679-9ad0adde181d', 13, '2026-11-29 13:50:59.247607+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960259247,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-c0eb-7696-8679-9ad0adde181d/a/action/0"}}},"jitter":0.7822898651653604}}'),
	('01a22792-dfa3-7077-91d3-4d682668c31f', 21, '2026-11-29 13:51:07.054188+00', 1, 'started', '{"started":{"at":1795960267054,"input":{"then":{"b":["do and hang"]}}}}'),
	('01a22792-dfa3-7077-91d3-4d682668c31f', 21, '2026-11-29 13:51:07.07006+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960267071,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-dfa3-7077-91d3-4d682668c31f/a/action/0"}}},"jitter":0.25638113945232355}}'),
	('01a22792-e225-727e-8c6e-3fab8ab9c924', 23, '2026-11-29 13:51:07.641436+00', 1, 'started', '{"started":{"at":1795960267641,"input":{"then":{"b":["do and hang"]}}}}'),
	('01a22792-e225-727e-8c6e-3fab8ab9c924', 23, '2026-11-29 13:51:07.665045+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960267661,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-e225-727e-8c6e-3fab8ab9c924/a/action/0"}}},"jitter":0.2173556575757486}}'),
	('01a22792-dfa3-7077-91d3-4d682668c31f', 23, '2026-11-29 13:51:09.848398+00', 3, 'owner_lost', '{"owner_lost":{"at":1795960269842,"jitter":0.38531910441594497}}'),
	('01a22792-dfa3-7077-91d3-4d682668c31f', 23, '2026-11-29 13:51:09.865259+00', 4, 'timer_fired', '{"timer_fired":{"at":1795960269865}}'),
	('01a22792-eeed-751b-8c16-5ec25750d510', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["busy for a minute"]}}}}'),
	('01a22792-ef57-77eb-8d83-d234aa5bd468', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["busy for a minute"]},"now":{"b":["refuse"]}}}}'),
	('01a22792-efdb-764d-b865-60a9657657f2', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["busy for a minute"]}}}}'),
	('01a22792-f04c-7492-9642-f5f5f3a3696e', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{}}}'),
	('01a22792-f0b9-71fc-83d9-2663ad74b993', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["refuse"]}}}}'),
	('01a22792-f138-7c78-a5a7-3cc7998f4266', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["do and hang"]}}}}'),
	('01a22792-f1a3-71aa-b0f6-616707279fcf', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["hang"]}}}}'),
	('01a22792-f21c-7847-8e49-615aa89599d7', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["busy","do and hang"]}}}}'),
	('01a22792-f274-7b4b-871d-1cd84fe61d30', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["busy for a minute"]}}}}'),
	('01a22792-f2e9-7462-9622-c640c968ef3d', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["busy","busy for a minute"]}}}}'),
	('01a22792-f337-74c3-9c7a-ce70e1e9e731', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["busy for seconds"]}}}}'),
	('01a22792-f3b8-73fd-af92-fee9736f1a01', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["do and lose","do and hang"]}}}}'),
	('01a22792-f42f-7274-961f-1fd018e5100d', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"a":["do and lose"],"?a":["busy"]}}}}'),
	('01a22792-f4ba-753f-9cb7-ac05681f779b', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"a":["lose"]}}}}'),
	('01a22792-f524-73f3-8e52-77dd50a31872', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"a":["do and lose"],"?a":["busy"]}}}}'),
	('01a22792-f5aa-79ad-a483-6495801d71e8', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"a":["lose"],"?a":["busy"]}}}}'),
	('01a22792-f62f-79fd-965a-4f41404ec7b0', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"a":["do and hang"]}}}}'),
	('01a22792-f6e6-7807-9369-48dae4ea2153', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"a":["do and lose"],"?a":["hang"]}}}}'),
	('01a22792-f755-7532-91fb-965c85df5a7c', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"a":["do and accept"],"?a":["busy"]}}}}'),
	('01a22792-f7d1-72e8-98d9-9cea18d0ec93', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"a":["accept"]}}}}'),
	('01a22792-f847-756d-8d75-686a2fe502d1', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["do and accept"]}}}}'),
	('01a22792-f8b2-79a1-8080-8bbf4b039b9b', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["refuse"],"~a":["do and accept"]}}}}'),
	('01a22792-f974-746c-b3c8-b0116afbd8fa', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["do and lose"]}}}}'),
	('01a22792-fa00-7391-83fc-5565140d7f89', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["lose"]}}}}'),
	('01a22792-faa5-7cd7-8f50-741f7d848e6b', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{}}}'),
	('01a22792-fafd-7281-a39e-1d94083cd02e', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{}}}'),
	('01a22792-fba9-732d-9b0f-e6e786916291', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{}}}'),
	('01a22792-fc2e-7a33-854f-cf91a3a4af33', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{}}}'),
	('01a22792-fcb4-7276-aa11-b4c50666521b', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{}}}'),
	('01a22792-fd3b-756c-bff1-37a0ca32cae1', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["refuse"],"~a":["do and hang"]}}}}'),
	('01a22792-fdb9-72da-a1ed-b4116516bdd9', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["refuse"],"~a":["hang"]}}}}'),
	('01a22792-fe3d-75bb-9fa9-530e14761f15', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["refuse"],"~a":["busy for a minute"]}}}}'),
	('01a22792-fef7-7bcd-a2ff-8458c1a3f58a', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["refuse"],"~a":["busy","do and hang"]}}}}'),
	('01a22792-ff72-7e3b-8a39-33cfc093cbb5', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["refuse"],"~a":["do and lose"],"?a":["busy"]}}}}'),
	('01a22793-001b-74a4-a222-cb98099e91ae', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["refuse"],"~a":["lose"],"?a":["busy"]}}}}'),
	('01a22793-0094-74e1-a29e-ace0c316481d', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["do and lose"]}}}}'),
	('01a22793-014c-733b-a118-a6976881123f', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["lose"]}}}}'),
	('01a22793-020d-7d00-8532-63ebf56267c1', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["do and lose"]}}}}'),
	('01a22793-029a-7851-b0e9-306889eaadfd', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["refuse"]}}}}'),
	('01a22793-0318-7d5d-9dcc-106354f1c480', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["refuse"],"~a":["refuse"]}}}}'),
	('01a22793-03c1-7281-b429-9f719cd85595', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["busy for a minute"]}}}}'),
	('01a22793-046c-7982-9d21-079078920d80', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["do and hang"]}}}}'),
	('01a22793-0528-7bec-868b-cf26bc3b4360', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{}}}}'),
	('01a22793-05cc-7b32-b46f-9d12b17d80b0', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{}}}}'),
	('01a22793-0664-73b2-8c72-319f9d731bc3', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"y":["do and hang"]}}}}'),
	('01a22793-071c-7987-9607-1c4f24629acc', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"b":["hang"]}}}}'),
	('01a22793-07f3-7e6b-b0f5-2b089261ec21', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{"then":{"c":["refuse"],"~b":["hang"]}}}}'),
	('01a22793-095d-726f-8c37-14e896bdd767', 25, '2026-11-29 13:51:17.665802+00', 1, 'started', '{"started":{"at":1795960277666,"input":{}}}'),
	('01a22793-087c-75a8-885a-ef8c7c616c52', 26, '2026-11-29 13:51:17.805389+00', 1, 'started', '{"started":{"at":1795960277805,"input":{"guest":"ada","then":{"a":["do and hang"]}}}}'),
	('01a22792-eeed-751b-8c16-5ec25750d510', 25, '2026-11-29 13:51:17.860836+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277832,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-eeed-751b-8c16-5ec25750d510/a/action/0"}}},"jitter":0.3273462742813842}}'),
	('01a22792-f04c-7492-9642-f5f5f3a3696e', 25, '2026-11-29 13:51:17.860836+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277829,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-f04c-7492-9642-f5f5f3a3696e/a/action/0"}}},"jitter":0.23833364728710282}}'),
	('01a22792-f138-7c78-a5a7-3cc7998f4266', 25, '2026-11-29 13:51:17.860836+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277832,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-f138-7c78-a5a7-3cc7998f4266/a/action/0"}}},"jitter":0.6845910398147629}}'),
	('01a22792-f42f-7274-961f-1fd018e5100d', 25, '2026-11-29 13:51:17.860836+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277829,"step":0,"direction":"action","attempt":1,"outcome":{"unknown":{"error":{"code":"lost","message":"no answer"}}},"jitter":0.4376635585328418}}'),
	('01a22792-f4ba-753f-9cb7-ac05681f779b', 25, '2026-11-29 13:51:17.860836+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277832,"step":0,"direction":"action","attempt":1,"outcome":{"unknown":{"error":{"code":"lost","message":"no answer"}}},"jitter":0.35933106020300254}}'),
	('01a22792-f5aa-79ad-a483-6495801d71e8', 25, '2026-11-29 13:51:17.860836+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277828,"step":0,"direction":"action","attempt":1,"outcome":{"unknown":{"error":{"code":"lost","message":"no answer"}}},"jitter":0.19516685156330182}}'),
	('01a22792-f755-7532-91fb-965c85df5a7c', 25, '2026-11-29 13:51:17.860836+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277832,"step":0,"direction":"action","attempt":1,"outcome":{"pending":{}},"jitter":0.0974494518785155}}'),
	('01a22792-f7d1-72e8-98d9-9cea18d0ec93', 25, '2026-11-29 13:51:17.860836+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277830,"step":0,"direction":"action","attempt":1,"outcome":{"pending":{}},"jitter":0.5326511089368419}}'),
	('01a22792-fc2e-7a33-854f-cf91a3a4af33', 25, '2026-11-29 13:51:17.860836+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277832,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-fc2e-7a33-854f-cf91a3a4af33/a/action/0"}}},"jitter":0.8593613121948948}}'),
	('01a22792-ff72-7e3b-8a39-33cfc093cbb5', 25, '2026-11-29 13:51:17.860836+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277830,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-ff72-7e3b-8a39-33cfc093cbb5/a/action/0"}}},"jitter":0.3302520012182917}}'),
	('01a22793-03c1-7281-b429-9f719cd85595', 25, '2026-11-29 13:51:17.860836+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277832,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-03c1-7281-b429-9f719cd85595/a/action/0"}}},"jitter":0.34244453479404036}}'),
	('01a22792-efdb-764d-b865-60a9657657f2', 25, '2026-11-29 13:51:17.865694+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277855,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-efdb-764d-b865-60a9657657f2/a/action/0"}}},"jitter":0.8681076144965095}}'),
	('01a22792-f0b9-71fc-83d9-2663ad74b993', 25, '2026-11-29 13:51:17.865694+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277856,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-f0b9-71fc-83d9-2663ad74b993/a/action/0"}}},"jitter":0.336828382136641}}'),
	('01a22792-f6e6-7807-9369-48dae4ea2153', 25, '2026-11-29 13:51:17.865694+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277856,"step":0,"direction":"action","attempt":1,"outcome":{"unknown":{"error":{"code":"lost","message":"no answer"}}},"jitter":0.01947554330283252}}'),
	('01a22792-faa5-7cd7-8f50-741f7d848e6b', 25, '2026-11-29 13:51:17.865694+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277834,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-faa5-7cd7-8f50-741f7d848e6b/a/action/0"}}},"jitter":0.01109912517199263}}'),
	('01a22792-fafd-7281-a39e-1d94083cd02e', 25, '2026-11-29 13:51:17.865694+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277855,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-fafd-7281-a39e-1d94083cd02e/a/action/0"}}},"jitter":0.30107866533532157}}'),
	('01a22792-fc2e-7a33-854f-cf91a3a4af33', 25, '2026-11-29 13:51:17.865694+00', 3, 'approval_shown', '{"approval_shown":{"at":1795960277870,"step":1,"showing":{"shown":{"message":"May 01a22792-fc2e-7a33-854f-cf91a3a4af33/a/action/0 go on?","arguments":{"key":"01a22792-fc2e-7a33-854f-cf91a3a4af33/a/action/0"},"digest":"5822f180bca9476e517bcb541529430483c8e48eabca6d889538a151407a5742"}}}}'),
	('01a22793-0094-74e1-a29e-ace0c316481d', 25, '2026-11-29 13:51:17.865694+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277856,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-0094-74e1-a29e-ace0c316481d/a/action/0"}}},"jitter":0.9736646132543711}}'),
	('01a22793-07f3-7e6b-b0f5-2b089261ec21', 25, '2026-11-29 13:51:17.865694+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277856,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-07f3-7e6b-b0f5-2b089261ec21/a/action/0"}}},"jitter":0.2822674938620674}}'),
	('01a22792-ef57-77eb-8d83-d234aa5bd468', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-ef57-77eb-8d83-d234aa5bd468/a/action/0"}}},"jitter":0.2961883731148316}}'),
	('01a22792-f1a3-71aa-b0f6-616707279fcf', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-f1a3-71aa-b0f6-616707279fcf/a/action/0"}}},"jitter":0.5329943844327526}}'),
	('01a22792-f21c-7847-8e49-615aa89599d7', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-f21c-7847-8e49-615aa89599d7/a/action/0"}}},"jitter":0.8127843860312935}}'),
	('01a22792-f274-7b4b-871d-1cd84fe61d30', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-f274-7b4b-871d-1cd84fe61d30/a/action/0"}}},"jitter":0.9103766249391302}}'),
	('01a22792-f2e9-7462-9622-c640c968ef3d', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-f2e9-7462-9622-c640c968ef3d/a/action/0"}}},"jitter":0.036226306364175676}}'),
	('01a22792-f337-74c3-9c7a-ce70e1e9e731', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-f337-74c3-9c7a-ce70e1e9e731/a/action/0"}}},"jitter":0.7245481561294227}}'),
	('01a22792-f3b8-73fd-af92-fee9736f1a01', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-f3b8-73fd-af92-fee9736f1a01/a/action/0"}}},"jitter":0.11543143774286935}}'),
	('01a22792-f524-73f3-8e52-77dd50a31872', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"unknown":{"error":{"code":"lost","message":"no answer"}}},"jitter":0.2412262835889436}}'),
	('01a22792-f847-756d-8d75-686a2fe502d1', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-f847-756d-8d75-686a2fe502d1/a/action/0"}}},"jitter":0.35758315508612304}}'),
	('01a22792-f8b2-79a1-8080-8bbf4b039b9b', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-f8b2-79a1-8080-8bbf4b039b9b/a/action/0"}}},"jitter":0.5787880845520148}}'),
	('01a22792-f974-746c-b3c8-b0116afbd8fa', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-f974-746c-b3c8-b0116afbd8fa/a/action/0"}}},"jitter":0.8168390466794895}}'),
	('01a22792-fba9-732d-9b0f-e6e786916291', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277873,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-fba9-732d-9b0f-e6e786916291/a/action/0"}}},"jitter":0.5960858271358203}}'),
	('01a22792-fcb4-7276-aa11-b4c50666521b', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-fcb4-7276-aa11-b4c50666521b/a/action/0"}}},"jitter":0.5782450744371871}}'),
	('01a22792-fd3b-756c-bff1-37a0ca32cae1', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-fd3b-756c-bff1-37a0ca32cae1/a/action/0"}}},"jitter":0.5871995149135608}}'),
	('01a22792-fdb9-72da-a1ed-b4116516bdd9', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-fdb9-72da-a1ed-b4116516bdd9/a/action/0"}}},"jitter":0.10033346787238273}}'),
	('01a22792-fe3d-75bb-9fa9-530e14761f15', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-fe3d-75bb-9fa9-530e14761f15/a/action/0"}}},"jitter":0.09027229214710686}}'),
	('01a22792-fef7-7bcd-a2ff-8458c1a3f58a', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277873,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-fef7-7bcd-a2ff-8458c1a3f58a/a/action/0"}}},"jitter":0.4370236735075277}}'),
	('01a22793-014c-733b-a118-a6976881123f', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-014c-733b-a118-a6976881123f/a/action/0"}}},"jitter":0.6296975863486391}}'),
	('01a22793-020d-7d00-8532-63ebf56267c1', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-020d-7d00-8532-63ebf56267c1/a/action/0"}}},"jitter":0.8920467579203673}}'),
	('01a22793-046c-7982-9d21-079078920d80', 25, '2026-11-29 13:51:17.875745+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277874,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-046c-7982-9d21-079078920d80/a/action/0"}}},"jitter":0.2991535880645848}}'),
	('01a22792-fa00-7391-83fc-5565140d7f89', 25, '2026-11-29 13:51:17.883878+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277886,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-fa00-7391-83fc-5565140d7f89/a/action/0"}}},"jitter":0.03675195241840912}}'),
	('01a22792-fcb4-7276-aa11-b4c50666521b', 25, '2026-11-29 13:51:17.883878+00', 3, 'approval_shown', '{"approval_shown":{"at":1795960277884,"step":1,"showing":{"shown":{"message":"May 01a22792-fcb4-7276-aa11-b4c50666521b/a/action/0 go on?","arguments":{"key":"01a22792-fcb4-7276-aa11-b4c50666521b/a/action/0"},"digest":"9712a3e34d56db51399248dd3b570bab3baaadfc8fea55767fe3e97b69546c89"}}}}'),
	('01a22793-001b-74a4-a222-cb98099e91ae', 25, '2026-11-29 13:51:17.883878+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277885,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-001b-74a4-a222-cb98099e91ae/a/action/0"}}},"jitter":0.7286478400551464}}'),
	('01a22793-029a-7851-b0e9-306889eaadfd', 25, '2026-11-29 13:51:17.883878+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277886,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-029a-7851-b0e9-306889eaadfd/a/action/0"}}},"jitter":0.19825689916835454}}'),
	('01a22793-0318-7d5d-9dcc-106354f1c480', 25, '2026-11-29 13:51:17.883878+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277886,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-0318-7d5d-9dcc-106354f1c480/a/action/0"}}},"jitter":0.7578948475685657}}'),
	('01a22793-071c-7987-9607-1c4f24629acc', 25, '2026-11-29 13:51:17.883878+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277885,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-071c-7987-9607-1c4f24629acc/a/action/0"}}},"jitter":0.19137479499458043}}'),
	('01a22793-095d-726f-8c37-14e896bdd767', 25, '2026-11-29 13:51:17.883878+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960277886,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-095d-726f-8c37-14e896bdd767/a/action/0"}}},"jitter":0.7733859499270395}}'),
	('01a22792-eeed-751b-8c16-5ec25750d510', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277895,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"busy","message":"later"},"retryable":true,"retry_after_ms":60000}},"jitter":0.8407547001085282}}'),
	('01a22792-ef57-77eb-8d83-d234aa5bd468', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277912,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"busy","message":"later"},"retryable":true,"retry_after_ms":60000}},"jitter":0.34122495594792945}}'),
	('01a22792-efdb-764d-b865-60a9657657f2', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277896,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"busy","message":"later"},"retryable":true,"retry_after_ms":60000}},"jitter":0.4467049437992283}}'),
	('01a22792-f04c-7492-9642-f5f5f3a3696e', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277921,"step":1,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-f04c-7492-9642-f5f5f3a3696e/b/action/0"}}},"jitter":0.9990390702456409}}'),
	('01a22792-f0b9-71fc-83d9-2663ad74b993', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277899,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"declined","message":"no"},"retryable":false}},"jitter":0.2207596944969108}}'),
	('01a22792-f21c-7847-8e49-615aa89599d7', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277912,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"busy","message":"later"},"retryable":true}},"jitter":0.18829484852460165}}'),
	('01a22792-f274-7b4b-871d-1cd84fe61d30', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277912,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"busy","message":"later"},"retryable":true,"retry_after_ms":60000}},"jitter":0.8836249184503023}}'),
	('01a22792-f2e9-7462-9622-c640c968ef3d', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277912,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"busy","message":"later"},"retryable":true}},"jitter":0.5622575764731086}}'),
	('01a22792-f337-74c3-9c7a-ce70e1e9e731', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277912,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"busy","message":"soon"},"retryable":true,"retry_after_ms":8000}},"jitter":0.8778249236497405}}'),
	('01a22792-f3b8-73fd-af92-fee9736f1a01', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277927,"step":1,"direction":"action","attempt":1,"outcome":{"unknown":{"error":{"code":"lost","message":"no answer"}}},"jitter":0.8805793952188328}}'),
	('01a22792-f42f-7274-961f-1fd018e5100d', 25, '2026-11-29 13:51:17.924485+00', 3, 'probe_answered', '{"probe_answered":{"at":1795960277901,"step":0,"direction":"action","probe":1,"answer":{"inconclusive":{"error":{"code":"busy","message":"later"}}},"jitter":0.524390804133929}}'),
	('01a22792-f4ba-753f-9cb7-ac05681f779b', 25, '2026-11-29 13:51:17.924485+00', 3, 'probe_answered', '{"probe_answered":{"at":1795960277920,"step":0,"direction":"action","probe":1,"answer":"absent","jitter":0.36059893673099896}}'),
	('01a22792-f524-73f3-8e52-77dd50a31872', 25, '2026-11-29 13:51:17.924485+00', 3, 'probe_answered', '{"probe_answered":{"at":1795960277912,"step":0,"direction":"action","probe":1,"answer":{"inconclusive":{"error":{"code":"busy","message":"later"}}},"jitter":0.32614270928151545}}'),
	('01a22792-f5aa-79ad-a483-6495801d71e8', 25, '2026-11-29 13:51:17.924485+00', 3, 'probe_answered', '{"probe_answered":{"at":1795960277912,"step":0,"direction":"action","probe":1,"answer":{"inconclusive":{"error":{"code":"busy","message":"later"}}},"jitter":0.6887222366339522}}'),
	('01a22792-f847-756d-8d75-686a2fe502d1', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277928,"step":1,"direction":"action","attempt":1,"outcome":{"pending":{}},"jitter":0.7913273889311947}}'),
	('01a22792-f8b2-79a1-8080-8bbf4b039b9b', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277912,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"declined","message":"no"},"retryable":false}},"jitter":0.6304334436781295}}'),
	('01a22792-f974-746c-b3c8-b0116afbd8fa', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277927,"step":1,"direction":"action","attempt":1,"outcome":{"unknown":{"error":{"code":"lost","message":"no answer"}}},"jitter":0.9515699852611774}}'),
	('01a22792-fa00-7391-83fc-5565140d7f89', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277928,"step":1,"direction":"action","attempt":1,"outcome":{"unknown":{"error":{"code":"lost","message":"no answer"}}},"jitter":0.05029376236697214}}'),
	('01a22792-fd3b-756c-bff1-37a0ca32cae1', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277912,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"declined","message":"no"},"retryable":false}},"jitter":0.9232972579486236}}'),
	('01a22792-fdb9-72da-a1ed-b4116516bdd9', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277912,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"declined","message":"no"},"retryable":false}},"jitter":0.06809057879049918}}'),
	('01a22792-fe3d-75bb-9fa9-530e14761f15', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277912,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"declined","message":"no"},"retryable":false}},"jitter":0.571320465819744}}'),
	('01a22792-fef7-7bcd-a2ff-8458c1a3f58a', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277911,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"declined","message":"no"},"retryable":false}},"jitter":0.9260309927554532}}'),
	('01a22792-ff72-7e3b-8a39-33cfc093cbb5', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277901,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"declined","message":"no"},"retryable":false}},"jitter":0.9266941596463287}}'),
	('01a22793-001b-74a4-a222-cb98099e91ae', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277928,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"declined","message":"no"},"retryable":false}},"jitter":0.6280678873501765}}'),
	('01a22793-0094-74e1-a29e-ace0c316481d', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277921,"step":1,"direction":"action","attempt":1,"outcome":{"unknown":{"error":{"code":"lost","message":"no answer"}}},"jitter":0.6803458082554166}}'),
	('01a22793-014c-733b-a118-a6976881123f', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277912,"step":1,"direction":"action","attempt":1,"outcome":{"unknown":{"error":{"code":"lost","message":"no answer"}}},"jitter":0.4917605537517855}}'),
	('01a22793-020d-7d00-8532-63ebf56267c1', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277921,"step":1,"direction":"action","attempt":1,"outcome":{"unknown":{"error":{"code":"lost","message":"no answer"}}},"jitter":0.3424766363731264}}'),
	('01a22793-0318-7d5d-9dcc-106354f1c480', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277928,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"declined","message":"no"},"retryable":false}},"jitter":0.5945297938105949}}'),
	('01a22793-03c1-7281-b429-9f719cd85595', 25, '2026-11-29 13:51:17.924485+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277894,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"busy","message":"later"},"retryable":true,"retry_after_ms":60000}},"jitter":0.9577130029576607}}'),
	('01a22792-f21c-7847-8e49-615aa89599d7', 25, '2026-11-29 13:51:17.935924+00', 4, 'timer_fired', '{"timer_fired":{"at":1795960277937}}'),
	('01a22792-f2e9-7462-9622-c640c968ef3d', 25, '2026-11-29 13:51:17.935924+00', 4, 'timer_fired', '{"timer_fired":{"at":1795960277937}}'),
	('01a22792-fe3d-75bb-9fa9-530e14761f15', 25, '2026-11-29 13:51:17.935924+00', 4, 'attempt_ended', '{"attempt_ended":{"at":1795960277939,"step":0,"direction":"compensation","attempt":1,"outcome":{"failed":{"error":{"code":"busy","message":"later"},"retryable":true,"retry_after_ms":60000}},"jitter":0.31915583966451977}}'),
	('01a22792-fef7-7bcd-a2ff-8458c1a3f58a', 25, '2026-11-29 13:51:17.935924+00', 4, 'attempt_ended', '{"attempt_ended":{"at":1795960277939,"step":0,"direction":"compensation","attempt":1,"outcome":{"failed":{"error":{"code":"busy","message":"later"},"retryable":true}},"jitter":0.6328069582484518}}'),
	('01a22793-001b-74a4-a222-cb98099e91ae', 25, '2026-11-29 13:51:17.935924+00', 4, 'attempt_ended', '{"attempt_ended":{"at":1795960277938,"step":0,"direction":"compensation","attempt":1,"outcome":{"unknown":{"error":{"code":"lost","message":"no answer"}}},"jitter":0.7381556196286422}}'),
	('01a22793-029a-7851-b0e9-306889eaadfd', 25, '2026-11-29 13:51:17.935924+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277932,"step":1,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-029a-7851-b0e9-306889eaadfd/p/action/0"}}},"jitter":0.961494702391142}}'),
	('01a22793-0318-7d5d-9dcc-106354f1c480', 25, '2026-11-29 13:51:17.935924+00', 4, 'attempt_ended', '{"attempt_ended":{"at":1795960277939,"step":0,"direction":"compensation","attempt":1,"outcome":{"failed":{"error":{"code":"declined","message":"no"},"retryable":false}},"jitter":0.17367338376942665}}'),
	('01a22792-f0b9-71fc-83d9-2663ad74b993', 25, '2026-11-29 13:51:17.945404+00', 4, 'attempt_ended', '{"attempt_ended":{"at":1795960277941,"step":0,"direction":"compensation","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22792-f0b9-71fc-83d9-2663ad74b993/a/compensation/0"}}},"jitter":0.5163498006712209}}'),
	('01a22792-f2e9-7462-9622-c640c968ef3d', 25, '2026-11-29 13:51:17.945404+00', 5, 'attempt_ended', '{"attempt_ended":{"at":1795960277945,"step":1,"direction":"action","attempt":2,"outcome":{"failed":{"error":{"code":"busy","message":"later"},"retryable":true,"retry_after_ms":60000}},"jitter":0.7707197952725704}}'),
	('01a22792-f8b2-79a1-8080-8bbf4b039b9b', 25, '2026-11-29 13:51:17.945404+00', 4, 'attempt_ended', '{"attempt_ended":{"at":1795960277941,"step":0,"direction":"compensation","attempt":1,"outcome":{"pending":{}},"jitter":0.3659243524464446}}'),
	('01a22792-ff72-7e3b-8a39-33cfc093cbb5', 25, '2026-11-29 13:51:17.945404+00', 4, 'attempt_ended', '{"attempt_ended":{"at":1795960277941,"step":0,"direction":"compensation","attempt":1,"outcome":{"unknown":{"error":{"code":"lost","message":"no answer"}}},"jitter":0.2019014674326607}}'),
	('01a22793-001b-74a4-a222-cb98099e91ae', 25, '2026-11-29 13:51:17.945404+00', 5, 'probe_answered', '{"probe_answered":{"at":1795960277945,"step":0,"direction":"compensation","probe":1,"answer":{"inconclusive":{"error":{"code":"busy","message":"later"}}},"jitter":0.737441127173992}}'),
	('01a22793-029a-7851-b0e9-306889eaadfd', 25, '2026-11-29 13:51:17.945404+00', 4, 'attempt_ended', '{"attempt_ended":{"at":1795960277945,"step":2,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"declined","message":"no"},"retryable":false}},"jitter":0.971864974073622}}'),
	('01a22792-f3b8-73fd-af92-fee9736f1a01', 25, '2026-11-29 13:51:17.958485+00', 4, 'timer_fired', '{"timer_fired":{"at":1795960277948}}'),
	('01a22792-fef7-7bcd-a2ff-8458c1a3f58a', 25, '2026-11-29 13:51:17.958485+00', 5, 'timer_fired', '{"timer_fired":{"at":1795960277960}}'),
	('01a22792-ff72-7e3b-8a39-33cfc093cbb5', 25, '2026-11-29 13:51:17.958485+00', 5, 'probe_answered', '{"probe_answered":{"at":1795960277954,"step":0,"direction":"compensation","probe":1,"answer":{"inconclusive":{"error":{"code":"busy","message":"later"}}},"jitter":0.25981176756909774}}'),
	('01a22793-07f3-7e6b-b0f5-2b089261ec21', 25, '2026-11-29 13:51:17.928332+00', 3, 'attempt_ended', '{"attempt_ended":{"at":1795960277941,"step":1,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-07f3-7e6b-b0f5-2b089261ec21/b/action/0"}}},"jitter":0.12186863029153927}}'),
	('01a22793-07f3-7e6b-b0f5-2b089261ec21', 25, '2026-11-29 13:51:17.974412+00', 4, 'attempt_ended', '{"attempt_ended":{"at":1795960277980,"step":2,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"declined","message":"no"},"retryable":false}},"jitter":0.6243303738268295}}'),
	('01a22792-dfa3-7077-91d3-4d682668c31f', 25, '2026-11-29 13:51:19.873946+00', 5, 'owner_lost', '{"owner_lost":{"at":1795960279874,"jitter":0.5642244452284171}}'),
	('01a22792-e225-727e-8c6e-3fab8ab9c924', 25, '2026-11-29 13:51:19.873946+00', 3, 'owner_lost', '{"owner_lost":{"at":1795960279871,"jitter":0.40075064432210905}}'),
	('01a22792-eeed-751b-8c16-5ec25750d510', 25, '2026-11-29 13:51:19.885729+00', 4, 'requested', '{"requested":{"at":1795960279878,"signal":1,"by":"postgres (psql, 127.0.0.1)","request":{"abandon":{"reason":"mended elsewhere"}}}}'),
	('01a22792-dfa3-7077-91d3-4d682668c31f', 25, '2026-11-29 13:51:19.904948+00', 6, 'timer_fired', '{"timer_fired":{"at":1795960279900}}'),
	('01a22792-e225-727e-8c6e-3fab8ab9c924', 25, '2026-11-29 13:51:19.904948+00', 4, 'timer_fired', '{"timer_fired":{"at":1795960279899}}'),
	('01a22792-ef57-77eb-8d83-d234aa5bd468', 25, '2026-11-29 13:51:20.840202+00', 4, 'requested', '{"requested":{"at":1795960280841,"signal":1,"by":"postgres (psql, 127.0.0.1)","request":{"abandon":{"reason":"mended elsewhere"}}}}'),
	('01a22793-1c85-78b6-a753-1d8224bc60c5', 25, '2026-11-29 13:51:22.764966+00', 1, 'started', '{"started":{"at":1795960282762,"input":{"then":{"b":["busy for a minute"]}},"rerun":{"of":"01a22792-eeed-751b-8c16-5ec25750d510","from":"b","by":"postgres (psql, 127.0.0.1)","reason":"mended","outcomes":[{"step":0,"effect":{"output":{"key":"01a22792-eeed-751b-8c16-5ec25750d510/a/action/0"},"by_hand":false,"saga":"01a22792-eeed-751b-8c16-5ec25750d510","generation":0}}]}}}'),
	('01a22793-1c85-78b6-a753-1d8224bc60c5', 25, '2026-11-29 13:51:22.791977+00', 2, 'attempt_ended', '{"attempt_ended":{"at":1795960282779,"step":1,"direction":"action","attempt":1,"outcome":{"failed":{"error":{"code":"busy","message":"later"},"retryable":true,"retry_after_ms":60000}},"jitter":0.8157083725859976}}'),
	('01a22792-f337-74c3-9c7a-ce70e1e9e731', 25, '2026-11-29 13:51:25.911998+00', 4, 'timer_fired', '{"timer_fired":{"at":1795960285913}}'),
	('01a22792-f337-74c3-9c7a-ce70e1e9e731', 25, '2026-11-29 13:51:25.915067+00', 5, 'attempt_ended', '{"attempt_ended":{"at":1795960285916,"step":1,"direction":"action","attempt":2,"outcome":{"failed":{"error":{"code":"busy","message":"soon"},"retryable":true,"retry_after_ms":8000}},"jitter":0.9211397041895236}}'),
	('01a22793-046c-7982-9d21-079078920d80', 25, '2026-11-29 13:51:26.481445+00', 3, 'requested', '{"requested":{"at":1795960286473,"signal":1,"by":"postgres (psql, 127.0.0.1)","request":{"pause":{"reason":"why"}}}}'),
	('01a22793-03c1-7281-b429-9f719cd85595', 25, '2026-11-29 13:51:26.501686+00', 4, 'requested', '{"requested":{"at":1795960286473,"signal":1,"by":"postgres (psql, 127.0.0.1)","request":{"pause":{"reason":"why"}}}}'),
	('01a22792-f524-73f3-8e52-77dd50a31872', 25, '2026-11-29 13:51:26.716897+00', 4, 'requested', '{"requested":{"at":1795960286682,"signal":1,"by":"postgres (psql, 127.0.0.1)","request":{"cancel":{"reason":"why"}}}}'),
	('01a22792-f5aa-79ad-a483-6495801d71e8', 25, '2026-11-29 13:51:26.93278+00', 4, 'requested', '{"requested":{"at":1795960286932,"signal":1,"by":"postgres (psql, 127.0.0.1)","request":{"cancel":{"reason":"why"}}}}'),
	('01a22793-0528-7bec-868b-cf26bc3b4360', 26, '2026-11-29 13:51:18.101834+00', 2, 'requested', '{"requested":{"at":1795960278093,"signal":1,"by":"postgres (psql, 127.0.0.1)","request":{"append":{"step":{"name":"x","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}}}}}}'),
	('01a22793-0528-7bec-868b-cf26bc3b4360', 26, '2026-11-29 13:51:18.120601+00', 3, 'requested', '{"requested":{"at":1795960278093,"signal":2,"by":"postgres (psql, 127.0.0.1)","request":{"append":{"step":{"name":"y","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}}}}}}'),
	('01a22793-0528-7bec-868b-cf26bc3b4360', 26, '2026-11-29 13:51:18.133434+00', 4, 'attempt_ended', '{"attempt_ended":{"at":1795960278123,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-0528-7bec-868b-cf26bc3b4360/x/action/0"}}},"jitter":0.6233595595500616}}'),
	('01a22793-0528-7bec-868b-cf26bc3b4360', 26, '2026-11-29 13:51:18.135396+00', 5, 'attempt_ended', '{"attempt_ended":{"at":1795960278134,"step":1,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-0528-7bec-868b-cf26bc3b4360/y/action/0"}}},"jitter":0.7173663108964029}}'),
	('01a22793-05cc-7b32-b46f-9d12b17d80b0', 26, '2026-11-29 13:51:18.334509+00', 2, 'requested', '{"requested":{"at":1795960278340,"signal":1,"by":"postgres (psql, 127.0.0.1)","request":{"append":{"step":{"name":"x","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}}}}}}'),
	('01a22793-05cc-7b32-b46f-9d12b17d80b0', 26, '2026-11-29 13:51:18.335952+00', 3, 'requested', '{"requested":{"at":1795960278340,"signal":2,"by":"postgres (psql, 127.0.0.1)","request":{"append":{"step":{"name":"y","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}}}}}}'),
	('01a22793-05cc-7b32-b46f-9d12b17d80b0', 26, '2026-11-29 13:51:18.346349+00', 4, 'attempt_ended', '{"attempt_ended":{"at":1795960278352,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-05cc-7b32-b46f-9d12b17d80b0/x/action/0"}}},"jitter":0.983917897029407}}'),
	('01a22793-05cc-7b32-b46f-9d12b17d80b0', 26, '2026-11-29 13:51:18.362239+00', 5, 'attempt_ended', '{"attempt_ended":{"at":1795960278353,"step":1,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-05cc-7b32-b46f-9d12b17d80b0/y/action/0"}}},"jitter":0.77559759251775}}'),
	('01a22793-0664-73b2-8c72-319f9d731bc3', 26, '2026-11-29 13:51:18.767953+00', 2, 'requested', '{"requested":{"at":1795960278769,"signal":1,"by":"postgres (psql, 127.0.0.1)","request":{"append":{"step":{"name":"x","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}}}}}}'),
	('01a22793-0664-73b2-8c72-319f9d731bc3', 26, '2026-11-29 13:51:18.794523+00', 3, 'requested', '{"requested":{"at":1795960278769,"signal":2,"by":"postgres (psql, 127.0.0.1)","request":{"append":{"step":{"name":"y","kind":"compensable","action":{"call":{"target":{"handler":{"name":"make"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}},"compensation":{"target":{"handler":{"name":"undo"}},"effect":"idempotent","retry":{"attempts":9,"backoff_ms":20,"multiplier":1.0,"backoff_max_ms":20,"jitter":0.0},"timeout_ms":120000,"settle_ms":100}}}}}}'),
	('01a22793-0664-73b2-8c72-319f9d731bc3', 26, '2026-11-29 13:51:18.799324+00', 4, 'attempt_ended', '{"attempt_ended":{"at":1795960278800,"step":0,"direction":"action","attempt":1,"outcome":{"succeeded":{"output":{"key":"01a22793-0664-73b2-8c72-319f9d731bc3/x/action/0"}}},"jitter":0.1892129905422345}}'),
	('01a22792-efdb-764d-b865-60a9657657f2', 26, '2026-11-29 13:51:21.823541+00', 4, 'requested', '{"requested":{"at":1795960281814,"signal":1,"by":"postgres (psql, 127.0.0.1)","request":{"abandon":{"reason":"mended elsewhere"}}}}');
INSERT INTO amends.lane OVERRIDING SYSTEM VALUE VALUES
	(1, 1, false),
	(2, 1, false),
	(3, 2, false),
	(4, 2, false),
	(5, 3, false),
	(6, 3, false),
	(7, 4, false),
	(8, 4, false),
	(9, 5, false),
	(10, 5, false),
	(11, 6, false),
	(12, 6, false),
	(13, 7, false),
	(14, 7, false),
	(15, 8, false),
	(16, 8, false),
	(17, 9, false),
	(18, 9, false),
	(19, 10, false),
	(20, 10, false),
	(21, 11, false),
	(22, 11, false),
	(25, 13, true),
	(26, 13, true),
	(23, 12, false),
	(24, 12, false);
INSERT INTO amends.migration VALUES
	(1, 'tables', 'b9540d6b22734b7b26e6ae9b1596811b4f0dfa50cb78f1e3dbbf4f8a4500caf5', '2026-11-29 13:50:47.433203+00'),
	(2, 'functions', '75a0fa0e5e46cbb2987d19c6ce12e1ac321e7ec7d956c823eee0c8c660645d61', '2026-11-29 13:50:47.433203+00'),
	(3, 'operators', '914e2c21091df13ab37c19502817e1506a25b449dfbc5a5e131a2a5a339ef64c', '2026-11-29 13:50:47.433203+00'),
	(4, 'turns', '9dbd571b9f69a4fb42a3c9ea09f54efd055d08fb7cfe1e9b9f2e7037237547c1', '2026-11-29 13:50:47.433203+00'),
	(5, 'custody', '293ba5a42fe65203c229954f687bdf482ebcf600d865709ccb5070d764e27b5e', '2026-11-29 13:50:47.433203+00');
INSERT INTO amends.node OVERRIDING SYSTEM VALUE VALUES
	(1, 'old', '0.1.0', 2000, '2026-11-29 13:50:47.936255+00', '2026-11-29 13:50:47.970136+00', '2026-11-29 13:50:47.936255+00', '2026-11-29 13:50:48.058759+00', 0, 5, NULL, false),
	(6, 'old', '0.1.0', 2000, '2026-11-29 13:50:56.045776+00', '2026-11-29 13:50:58.197669+00', '2026-11-29 13:50:56.045776+00', '2026-11-29 13:51:03.394033+00', 0, 5, NULL, false),
	(7, 'old', '0.1.0', 2000, '2026-11-29 13:50:59.017271+00', '2026-11-29 13:50:59.071423+00', '2026-11-29 13:50:59.017271+00', '2026-11-29 13:51:03.394033+00', 0, 5, NULL, false),
	(8, 'old', '0.1.0', 2000, '2026-11-29 13:51:00.062955+00', '2026-11-29 13:51:00.257539+00', '2026-11-29 13:51:00.062955+00', '2026-11-29 13:51:03.394033+00', 0, 5, NULL, false),
	(2, 'old', '0.1.0', 2000, '2026-11-29 13:50:48.426609+00', '2026-11-29 13:50:48.530487+00', '2026-11-29 13:50:48.426609+00', '2026-11-29 13:50:52.492741+00', 0, 5, NULL, false),
	(3, 'old', '0.1.0', 2000, '2026-11-29 13:50:49.494133+00', '2026-11-29 13:50:49.567715+00', '2026-11-29 13:50:49.494133+00', '2026-11-29 13:50:52.492741+00', 0, 5, NULL, false),
	(9, 'old', '0.1.0', 2000, '2026-11-29 13:51:01.037609+00', '2026-11-29 13:51:03.230318+00', '2026-11-29 13:51:01.037609+00', '2026-11-29 13:51:06.18125+00', 0, 5, NULL, false),
	(13, 'old', '0.1.0', 2000, '2026-11-29 13:51:17.51588+00', '2026-11-29 13:51:27.663865+00', '2026-11-29 13:51:17.51588+00', NULL, 17, 5, NULL, false),
	(4, 'old', '0.1.0', 2000, '2026-11-29 13:50:50.189611+00', '2026-11-29 13:50:52.398291+00', '2026-11-29 13:50:50.189611+00', '2026-11-29 13:50:55.46748+00', 0, 5, NULL, false),
	(5, 'old', '0.1.0', 2000, '2026-11-29 13:50:53.159171+00', '2026-11-29 13:50:55.317885+00', '2026-11-29 13:50:53.159171+00', '2026-11-29 13:50:58.443881+00', 0, 5, NULL, false),
	(10, 'old', '0.1.0', 2000, '2026-11-29 13:51:03.97917+00', '2026-11-29 13:51:06.05336+00', '2026-11-29 13:51:03.97917+00', '2026-11-29 13:51:09.645014+00', 0, 5, NULL, false),
	(11, 'old', '0.1.0', 2000, '2026-11-29 13:51:06.916281+00', '2026-11-29 13:51:06.97129+00', '2026-11-29 13:51:06.916281+00', '2026-11-29 13:51:09.645014+00', 0, 5, NULL, false),
	(12, 'old', '0.1.0', 2000, '2026-11-29 13:51:07.533516+00', '2026-11-29 13:51:09.570727+00', '2026-11-29 13:51:07.533516+00', '2026-11-29 13:51:19.838069+00', 1, 5, NULL, false);
INSERT INTO amends.outbox OVERRIDING SYSTEM VALUE VALUES
	(1, '01a22793-095d-726f-8c37-14e896bdd767', 2, '2026-11-29 13:51:17.883878+00', '{"event":"on_end","definition":12,"status":"completed","step":null,"reason":null}', '2026-11-29 13:51:32.323921+00', NULL, 5, 'closed: later');
INSERT INTO amends.ready OVERRIDING SYSTEM VALUE VALUES
	(13, 8, '01a22792-c0eb-7696-8679-9ad0adde181d', NULL, '2026-11-29 13:51:06.183729+00'),
	(1, 75, '01a22793-3438-78a2-9677-26c5a73c6167', '{}', '2026-11-29 13:51:28.309362+00'),
	(1, 76, '01a22793-348d-7eba-bf69-6c9cb2ea5d44', '{}', '2026-11-29 13:51:28.395079+00'),
	(5, 77, '01a22793-34e6-7bbd-98f4-c0158e448270', '{}', '2026-11-29 13:51:28.483335+00'),
	(1, 78, '01a22793-348d-7eba-bf69-6c9cb2ea5d44', NULL, '2026-11-29 13:51:28.837409+00'),
	(5, 79, '01a22793-34e6-7bbd-98f4-c0158e448270', NULL, '2026-11-29 13:51:28.858206+00'),
	(5, 80, '01a22792-fafd-7281-a39e-1d94083cd02e', NULL, '2026-11-29 13:51:29.094363+00');
INSERT INTO amends.rerun OVERRIDING SYSTEM VALUE VALUES
	(1, '01a22792-eeed-751b-8c16-5ec25750d510', 'b', '01a22793-1c85-78b6-a753-1d8224bc60c5', 1, '2026-11-29 13:51:22.240795+00', 'postgres', 'psql', '127.0.0.1', 'mended', '2026-11-29 13:51:34.743226+00', 13, 0, 'applied', NULL),
	(2, '01a22792-ef57-77eb-8d83-d234aa5bd468', 'b', '01a22793-33c9-74f0-87d1-fa396c94cb83', 1, '2026-11-29 13:51:28.197138+00', 'postgres', 'psql', '127.0.0.1', 'mended', '2026-11-29 13:51:28.197138+00', NULL, 0, NULL, NULL);
INSERT INTO amends.saga VALUES
	('01a22792-9792-7826-a021-b4395b3ba653', NULL, 1, '2026-11-29 13:50:48.207902+00', 13, 3, true, 'stuck', NULL),
	('01a22792-c0eb-7696-8679-9ad0adde181d', NULL, 1, '2026-11-29 13:50:58.792911+00', 13, 2, false, 'running', NULL),
	('01a22792-f138-7c78-a5a7-3cc7998f4266', 25, 0, '2026-11-29 13:51:11.147947+00', 1, 0, false, 'running', NULL),
	('01a22792-f1a3-71aa-b0f6-616707279fcf', 25, 0, '2026-11-29 13:51:11.261078+00', 1, 0, false, 'running', NULL),
	('01a22792-f21c-7847-8e49-615aa89599d7', 25, 0, '2026-11-29 13:51:11.375378+00', 1, 0, false, 'running', NULL),
	('01a22792-f337-74c3-9c7a-ce70e1e9e731', 25, 0, '2026-11-29 13:51:11.665457+00', 1, 0, false, 'running', NULL),
	('01a22792-f274-7b4b-871d-1cd84fe61d30', NULL, 0, '2026-11-29 13:51:11.473476+00', 1, 0, false, 'running', NULL),
	('01a22792-f42f-7274-961f-1fd018e5100d', NULL, 0, '2026-11-29 13:51:11.917053+00', 2, 0, false, 'running', '[{"step":"a","direction":"action","in_doubt":true,"stuck":null,"since":1795960277829,"attempts":1,"probes":1,"error_code":"busy","error":"later","key":"01a22792-f42f-7274-961f-1fd018e5100d/a/action/0","legal":["cancel","pause","abandon","retry a","resolve a applied","resolve a absent"]}]'),
	('01a22792-f4ba-753f-9cb7-ac05681f779b', NULL, 0, '2026-11-29 13:51:12.04865+00', 2, 0, false, 'running', '[{"step":"a","direction":"action","in_doubt":true,"stuck":null,"since":1795960277832,"attempts":1,"probes":1,"error_code":"lost","error":"no answer","key":"01a22792-f4ba-753f-9cb7-ac05681f779b/a/action/0","legal":["cancel","pause","abandon","retry a","resolve a applied","resolve a absent"]}]'),
	('01a22792-f3b8-73fd-af92-fee9736f1a01', 25, 0, '2026-11-29 13:51:11.797897+00', 1, 0, false, 'running', '[{"step":"b","direction":"action","in_doubt":true,"stuck":null,"since":1795960277927,"attempts":2,"probes":0,"error_code":"lost","error":"no answer","key":"01a22792-f3b8-73fd-af92-fee9736f1a01/b/action/0","legal":["cancel","pause","abandon"]}]'),
	('01a22792-f2e9-7462-9622-c640c968ef3d', NULL, 0, '2026-11-29 13:51:11.58536+00', 1, 0, false, 'running', NULL),
	('01a22792-dfa3-7077-91d3-4d682668c31f', 25, 0, '2026-11-29 13:51:06.656132+00', 1, 0, false, 'running', '[{"step":"b","direction":"action","in_doubt":true,"stuck":null,"since":1795960389865,"attempts":3,"probes":0,"error_code":"process_died","error":"the process died while the call was under way","key":"01a22792-dfa3-7077-91d3-4d682668c31f/b/action/0","legal":["cancel","pause","abandon"]}]'),
	('01a22792-e225-727e-8c6e-3fab8ab9c924', 25, 0, '2026-11-29 13:51:07.298456+00', 1, 0, false, 'running', '[{"step":"b","direction":"action","in_doubt":true,"stuck":null,"since":1795960387661,"attempts":2,"probes":0,"error_code":"process_died","error":"the process died while the call was under way","key":"01a22792-e225-727e-8c6e-3fab8ab9c924/b/action/0","legal":["cancel","pause","abandon"]}]'),
	('01a22793-08dd-7fe1-a1c2-4ca67cf0fe51', NULL, 0, '2026-11-29 13:51:17.21064+00', 11, 0, false, 'queued', NULL),
	('01a22792-f62f-79fd-965a-4f41404ec7b0', 25, 0, '2026-11-29 13:51:12.427304+00', 2, 0, false, 'running', NULL),
	('01a22793-071c-7987-9607-1c4f24629acc', 25, 0, '2026-11-29 13:51:16.761405+00', 10, 0, false, 'running', NULL),
	('01a22793-087c-75a8-885a-ef8c7c616c52', 26, 0, '2026-11-29 13:51:17.109366+00', 11, 0, false, 'running', NULL),
	('01a22792-f6e6-7807-9369-48dae4ea2153', 25, 0, '2026-11-29 13:51:12.603539+00', 2, 0, false, 'running', '[{"step":"a","direction":"action","in_doubt":true,"stuck":null,"since":1795960277856,"attempts":1,"probes":1,"error_code":"lost","error":"no answer","key":"01a22792-f6e6-7807-9369-48dae4ea2153/a/action/0","legal":["cancel","pause","abandon","resolve a applied","resolve a absent"]}]'),
	('01a22792-f755-7532-91fb-965c85df5a7c', NULL, 0, '2026-11-29 13:51:12.722507+00', 2, 0, false, 'running', '[{"step":"a","direction":"action","in_doubt":true,"stuck":null,"since":1795960277832,"attempts":1,"probes":0,"error_code":null,"error":null,"key":"01a22792-f755-7532-91fb-965c85df5a7c/a/action/0","legal":["cancel","pause","abandon","retry a","resolve a applied","resolve a absent"]}]'),
	('01a22792-f7d1-72e8-98d9-9cea18d0ec93', NULL, 0, '2026-11-29 13:51:12.839021+00', 2, 0, false, 'running', '[{"step":"a","direction":"action","in_doubt":true,"stuck":null,"since":1795960277830,"attempts":1,"probes":0,"error_code":null,"error":null,"key":"01a22792-f7d1-72e8-98d9-9cea18d0ec93/a/action/0","legal":["cancel","pause","abandon","retry a","resolve a applied","resolve a absent"]}]'),
	('01a22792-faa5-7cd7-8f50-741f7d848e6b', NULL, 0, '2026-11-29 13:51:13.570008+00', 5, 0, false, 'running', NULL),
	('01a22792-fc2e-7a33-854f-cf91a3a4af33', NULL, 0, '2026-11-29 13:51:13.961425+00', 7, 0, false, 'running', NULL),
	('01a22792-fba9-732d-9b0f-e6e786916291', NULL, 0, '2026-11-29 13:51:13.830087+00', 6, 0, false, 'running', NULL),
	('01a22792-fd3b-756c-bff1-37a0ca32cae1', 25, 0, '2026-11-29 13:51:14.232643+00', 1, 0, false, 'compensating', NULL),
	('01a22792-fcb4-7276-aa11-b4c50666521b', NULL, 0, '2026-11-29 13:51:14.097369+00', 7, 0, false, 'running', NULL),
	('01a22792-f847-756d-8d75-686a2fe502d1', NULL, 0, '2026-11-29 13:51:12.964317+00', 1, 0, false, 'running', NULL),
	('01a22792-f974-746c-b3c8-b0116afbd8fa', NULL, 0, '2026-11-29 13:51:13.261477+00', 4, 0, false, 'compensating', '[{"step":"b","direction":"action","in_doubt":true,"stuck":null,"since":1795960277927,"attempts":1,"probes":0,"error_code":"lost","error":"no answer","key":"01a22792-f974-746c-b3c8-b0116afbd8fa/b/action/0","legal":["pause","abandon","resolve b applied","resolve b absent"]}]'),
	('01a22792-f8b2-79a1-8080-8bbf4b039b9b', NULL, 0, '2026-11-29 13:51:13.070328+00', 1, 0, false, 'compensating', NULL),
	('01a22793-029a-7851-b0e9-306889eaadfd', NULL, 0, '2026-11-29 13:51:15.602783+00', 8, 0, false, 'stuck', '[{"step":"b","direction":"action","in_doubt":false,"stuck":"failed","since":1795960277945,"attempts":1,"probes":0,"error_code":"declined","error":"no","key":"01a22793-029a-7851-b0e9-306889eaadfd/b/action/1","legal":["pause","abandon","retry b","skip b"]}]'),
	('01a22793-07f3-7e6b-b0f5-2b089261ec21', 25, 0, '2026-11-29 13:51:16.975185+00', 10, 0, false, 'compensating', NULL),
	('01a22792-fafd-7281-a39e-1d94083cd02e', NULL, 1, '2026-11-29 13:51:13.65831+00', 5, 0, false, 'running', NULL),
	('01a22793-0528-7bec-868b-cf26bc3b4360', NULL, 2, '2026-11-29 13:51:16.261416+00', 9, 0, false, 'running', NULL),
	('01a22793-05cc-7b32-b46f-9d12b17d80b0', NULL, 2, '2026-11-29 13:51:16.425375+00', 9, 0, false, 'running', NULL),
	('01a22793-0664-73b2-8c72-319f9d731bc3', 26, 2, '2026-11-29 13:51:16.577438+00', 9, 0, false, 'running', NULL),
	('01a22793-046c-7982-9d21-079078920d80', 25, 1, '2026-11-29 13:51:16.073382+00', 1, 0, false, 'paused', NULL),
	('01a22793-03c1-7281-b429-9f719cd85595', NULL, 1, '2026-11-29 13:51:15.901963+00', 1, 0, false, 'paused', NULL),
	('01a22792-f524-73f3-8e52-77dd50a31872', NULL, 1, '2026-11-29 13:51:12.161481+00', 2, 0, false, 'compensating', '[{"step":"a","direction":"action","in_doubt":true,"stuck":null,"since":1795960277874,"attempts":1,"probes":1,"error_code":"busy","error":"later","key":"01a22792-f524-73f3-8e52-77dd50a31872/a/action/0","legal":["pause","abandon","retry a","resolve a applied","resolve a absent"]}]'),
	('01a22792-fdb9-72da-a1ed-b4116516bdd9', 25, 0, '2026-11-29 13:51:14.358127+00', 1, 0, false, 'compensating', NULL),
	('01a22792-fef7-7bcd-a2ff-8458c1a3f58a', 25, 0, '2026-11-29 13:51:14.676353+00', 1, 0, false, 'compensating', NULL),
	('01a22792-fa00-7391-83fc-5565140d7f89', NULL, 0, '2026-11-29 13:51:13.403156+00', 4, 0, false, 'compensating', '[{"step":"b","direction":"action","in_doubt":true,"stuck":null,"since":1795960277928,"attempts":1,"probes":0,"error_code":"lost","error":"no answer","key":"01a22792-fa00-7391-83fc-5565140d7f89/b/action/0","legal":["pause","abandon","resolve b applied","resolve b absent"]}]'),
	('01a22793-0094-74e1-a29e-ace0c316481d', NULL, 0, '2026-11-29 13:51:15.089629+00', 3, 0, false, 'stuck', '[{"step":"b","direction":"action","in_doubt":true,"stuck":"in_doubt","since":1795960277921,"attempts":1,"probes":0,"error_code":"lost","error":"no answer","key":"01a22793-0094-74e1-a29e-ace0c316481d/b/action/0","legal":["cancel","pause","abandon","resolve b applied","resolve b absent"]}]'),
	('01a22793-014c-733b-a118-a6976881123f', NULL, 0, '2026-11-29 13:51:15.273487+00', 3, 0, false, 'stuck', '[{"step":"b","direction":"action","in_doubt":true,"stuck":"in_doubt","since":1795960277912,"attempts":1,"probes":0,"error_code":"lost","error":"no answer","key":"01a22793-014c-733b-a118-a6976881123f/b/action/0","legal":["cancel","pause","abandon","resolve b applied","resolve b absent"]}]'),
	('01a22793-020d-7d00-8532-63ebf56267c1', NULL, 0, '2026-11-29 13:51:15.453765+00', 3, 0, false, 'stuck', '[{"step":"b","direction":"action","in_doubt":true,"stuck":"in_doubt","since":1795960277921,"attempts":1,"probes":0,"error_code":"lost","error":"no answer","key":"01a22793-020d-7d00-8532-63ebf56267c1/b/action/0","legal":["cancel","pause","abandon","resolve b applied","resolve b absent"]}]'),
	('01a22792-fe3d-75bb-9fa9-530e14761f15', NULL, 0, '2026-11-29 13:51:14.485572+00', 1, 0, false, 'compensating', NULL),
	('01a22793-0318-7d5d-9dcc-106354f1c480', NULL, 0, '2026-11-29 13:51:15.731615+00', 1, 0, false, 'stuck', '[{"step":"a","direction":"compensation","in_doubt":false,"stuck":"failed","since":1795960277939,"attempts":1,"probes":0,"error_code":"declined","error":"no","key":"01a22793-0318-7d5d-9dcc-106354f1c480/a/compensation/1","legal":["pause","abandon","retry a","skip a","resolve a applied"]}]'),
	('01a22793-001b-74a4-a222-cb98099e91ae', NULL, 0, '2026-11-29 13:51:14.963266+00', 2, 0, false, 'compensating', '[{"step":"a","direction":"compensation","in_doubt":true,"stuck":null,"since":1795960277938,"attempts":1,"probes":1,"error_code":"busy","error":"later","key":"01a22793-001b-74a4-a222-cb98099e91ae/a/compensation/0","legal":["pause","abandon","retry a","resolve a applied","resolve a absent"]}]'),
	('01a22792-ff72-7e3b-8a39-33cfc093cbb5', NULL, 0, '2026-11-29 13:51:14.794009+00', 2, 0, false, 'compensating', '[{"step":"a","direction":"compensation","in_doubt":true,"stuck":null,"since":1795960277941,"attempts":1,"probes":1,"error_code":"busy","error":"later","key":"01a22792-ff72-7e3b-8a39-33cfc093cbb5/a/compensation/0","legal":["pause","abandon","retry a","resolve a applied","resolve a absent"]}]'),
	('01a22793-1c85-78b6-a753-1d8224bc60c5', NULL, 0, '2026-11-29 13:51:22.764966+00', 1, 0, false, 'running', NULL),
	('01a22792-f5aa-79ad-a483-6495801d71e8', NULL, 1, '2026-11-29 13:51:12.295958+00', 2, 0, false, 'compensating', '[{"step":"a","direction":"action","in_doubt":true,"stuck":null,"since":1795960277828,"attempts":1,"probes":1,"error_code":"busy","error":"later","key":"01a22792-f5aa-79ad-a483-6495801d71e8/a/action/0","legal":["pause","abandon","retry a","resolve a applied","resolve a absent"]}]'),
	('01a22793-3438-78a2-9677-26c5a73c6167', NULL, 0, '2026-11-29 13:51:28.309362+00', 1, 0, false, 'queued', NULL),
	('01a22793-348d-7eba-bf69-6c9cb2ea5d44', NULL, 1, '2026-11-29 13:51:28.395079+00', 1, 0, false, 'queued', NULL),
	('01a22793-34e6-7bbd-98f4-c0158e448270', NULL, 1, '2026-11-29 13:51:28.483335+00', 5, 0, false, 'queued', NULL);
INSERT INTO amends.saga_done_20261129 VALUES
	('01a22793-095d-726f-8c37-14e896bdd767', '2026-11-29 13:51:17.338196+00', '2026-11-29 13:51:17.883878+00', 0, 12, 'completed', '{"a":{"key":"01a22793-095d-726f-8c37-14e896bdd767/a/action/0"}}'),
	('01a22792-f04c-7492-9642-f5f5f3a3696e', '2026-11-29 13:51:10.921383+00', '2026-11-29 13:51:17.924485+00', 0, 1, 'completed', '{"a":{"key":"01a22792-f04c-7492-9642-f5f5f3a3696e/a/action/0"},"b":{"key":"01a22792-f04c-7492-9642-f5f5f3a3696e/b/action/0"}}'),
	('01a22792-f0b9-71fc-83d9-2663ad74b993', '2026-11-29 13:51:11.027426+00', '2026-11-29 13:51:17.945404+00', 0, 1, 'compensated', '{"turned_back":{"step_failed":{"step":1,"error":{"code":"declined","message":"no"}}}}'),
	('01a22792-eeed-751b-8c16-5ec25750d510', '2026-11-29 13:51:10.570305+00', '2026-11-29 13:51:19.885729+00', 1, 1, 'abandoned', '{"abandoned_by":"postgres (psql, 127.0.0.1)","reason":"mended elsewhere"}'),
	('01a22792-ef57-77eb-8d83-d234aa5bd468', '2026-11-29 13:51:10.668317+00', '2026-11-29 13:51:20.840202+00', 1, 1, 'abandoned', '{"abandoned_by":"postgres (psql, 127.0.0.1)","reason":"mended elsewhere"}'),
	('01a22792-efdb-764d-b865-60a9657657f2', '2026-11-29 13:51:10.8044+00', '2026-11-29 13:51:21.823541+00', 1, 1, 'abandoned', '{"abandoned_by":"postgres (psql, 127.0.0.1)","reason":"mended elsewhere"}');
INSERT INTO amends.signal VALUES
	('01a22792-9792-7826-a021-b4395b3ba653', 1, '2026-11-29 13:50:49.156509+00', 'postgres', 'psql', '127.0.0.1', '{"provide" : {"event" : "go", "payload" : null}}', NULL, NULL),
	('01a22792-c0eb-7696-8679-9ad0adde181d', 1, '2026-11-29 13:50:59.624844+00', 'postgres', 'psql', '127.0.0.1', '{"provide" : {"event" : "go", "payload" : null}}', NULL, NULL),
	('01a22793-0528-7bec-868b-cf26bc3b4360', 1, '2026-11-29 13:51:18.037375+00', 'postgres', 'psql', '127.0.0.1', '{"append":{"step":{"name": "x", "action": {"call": {"target": {"handler": {"name": "make"}}, "effect": "idempotent", "retry": {"attempts": 9, "backoff_ms": 20, "multiplier": 1.0, "backoff_max_ms": 20, "jitter": 0.0}, "timeout_ms": 120000, "settle_ms": 100}}, "compensation": {"target": {"handler": {"name": "undo"}}, "effect": "idempotent", "retry": {"attempts": 9, "backoff_ms": 20, "multiplier": 1.0, "backoff_max_ms": 20, "jitter": 0.0}, "timeout_ms": 120000, "settle_ms": 100}}}}', 'applied', NULL),
	('01a22793-0528-7bec-868b-cf26bc3b4360', 2, '2026-11-29 13:51:18.037375+00', 'postgres', 'psql', '127.0.0.1', '{"append":{"step":{"name": "y", "action": {"call": {"target": {"handler": {"name": "make"}}, "effect": "idempotent", "retry": {"attempts": 9, "backoff_ms": 20, "multiplier": 1.0, "backoff_max_ms": 20, "jitter": 0.0}, "timeout_ms": 120000, "settle_ms": 100}}, "compensation": {"target": {"handler": {"name": "undo"}}, "effect": "idempotent", "retry": {"attempts": 9, "backoff_ms": 20, "multiplier": 1.0, "backoff_max_ms": 20, "jitter": 0.0}, "timeout_ms": 120000, "settle_ms": 100}}}}', 'applied', NULL),
	('01a22793-05cc-7b32-b46f-9d12b17d80b0', 1, '2026-11-29 13:51:18.257088+00', 'postgres', 'psql', '127.0.0.1', '{"append":{"step":{"name": "x", "action": {"call": {"target": {"handler": {"name": "make"}}, "effect": "idempotent", "retry": {"attempts": 9, "backoff_ms": 20, "multiplier": 1.0, "backoff_max_ms": 20, "jitter": 0.0}, "timeout_ms": 120000, "settle_ms": 100}}, "compensation": {"target": {"handler": {"name": "undo"}}, "effect": "idempotent", "retry": {"attempts": 9, "backoff_ms": 20, "multiplier": 1.0, "backoff_max_ms": 20, "jitter": 0.0}, "timeout_ms": 120000, "settle_ms": 100}}}}', 'applied', NULL),
	('01a22793-05cc-7b32-b46f-9d12b17d80b0', 2, '2026-11-29 13:51:18.257088+00', 'postgres', 'psql', '127.0.0.1', '{"append":{"step":{"name": "y", "action": {"call": {"target": {"handler": {"name": "make"}}, "effect": "idempotent", "retry": {"attempts": 9, "backoff_ms": 20, "multiplier": 1.0, "backoff_max_ms": 20, "jitter": 0.0}, "timeout_ms": 120000, "settle_ms": 100}}, "compensation": {"target": {"handler": {"name": "undo"}}, "effect": "idempotent", "retry": {"attempts": 9, "backoff_ms": 20, "multiplier": 1.0, "backoff_max_ms": 20, "jitter": 0.0}, "timeout_ms": 120000, "settle_ms": 100}}}}', 'applied', NULL),
	('01a22793-0664-73b2-8c72-319f9d731bc3', 1, '2026-11-29 13:51:18.56388+00', 'postgres', 'psql', '127.0.0.1', '{"append":{"step":{"name": "x", "action": {"call": {"target": {"handler": {"name": "make"}}, "effect": "idempotent", "retry": {"attempts": 9, "backoff_ms": 20, "multiplier": 1.0, "backoff_max_ms": 20, "jitter": 0.0}, "timeout_ms": 120000, "settle_ms": 100}}, "compensation": {"target": {"handler": {"name": "undo"}}, "effect": "idempotent", "retry": {"attempts": 9, "backoff_ms": 20, "multiplier": 1.0, "backoff_max_ms": 20, "jitter": 0.0}, "timeout_ms": 120000, "settle_ms": 100}}}}', 'applied', NULL),
	('01a22793-0664-73b2-8c72-319f9d731bc3', 2, '2026-11-29 13:51:18.56388+00', 'postgres', 'psql', '127.0.0.1', '{"append":{"step":{"name": "y", "action": {"call": {"target": {"handler": {"name": "make"}}, "effect": "idempotent", "retry": {"attempts": 9, "backoff_ms": 20, "multiplier": 1.0, "backoff_max_ms": 20, "jitter": 0.0}, "timeout_ms": 120000, "settle_ms": 100}}, "compensation": {"target": {"handler": {"name": "undo"}}, "effect": "idempotent", "retry": {"attempts": 9, "backoff_ms": 20, "multiplier": 1.0, "backoff_max_ms": 20, "jitter": 0.0}, "timeout_ms": 120000, "settle_ms": 100}}}}', 'applied', NULL),
	('01a22792-eeed-751b-8c16-5ec25750d510', 1, '2026-11-29 13:51:19.770466+00', 'postgres', 'psql', '127.0.0.1', '{"abandon" : {"reason" : "mended elsewhere"}}', 'applied', NULL),
	('01a22792-ef57-77eb-8d83-d234aa5bd468', 1, '2026-11-29 13:51:20.749528+00', 'postgres', 'psql', '127.0.0.1', '{"abandon" : {"reason" : "mended elsewhere"}}', 'applied', NULL),
	('01a22792-efdb-764d-b865-60a9657657f2', 1, '2026-11-29 13:51:21.722049+00', 'postgres', 'psql', '127.0.0.1', '{"abandon" : {"reason" : "mended elsewhere"}}', 'applied', NULL),
	('01a22793-046c-7982-9d21-079078920d80', 1, '2026-11-29 13:51:26.357391+00', 'postgres', 'psql', '127.0.0.1', '{"pause" : {"reason" : "why"}}', 'applied', NULL),
	('01a22793-03c1-7281-b429-9f719cd85595', 1, '2026-11-29 13:51:26.329627+00', 'postgres', 'psql', '127.0.0.1', '{"pause" : {"reason" : "why"}}', 'applied', NULL),
	('01a22792-f524-73f3-8e52-77dd50a31872', 1, '2026-11-29 13:51:26.636504+00', 'postgres', 'psql', '127.0.0.1', '{"cancel" : {"reason" : "why"}}', 'applied', NULL),
	('01a22792-f5aa-79ad-a483-6495801d71e8', 1, '2026-11-29 13:51:26.852691+00', 'postgres', 'psql', '127.0.0.1', '{"cancel" : {"reason" : "why"}}', 'applied', NULL),
	('01a22793-348d-7eba-bf69-6c9cb2ea5d44', 1, '2026-11-29 13:51:28.837409+00', 'postgres', 'psql', '127.0.0.1', '{"cancel" : {"reason" : "too late"}}', NULL, NULL),
	('01a22793-34e6-7bbd-98f4-c0158e448270', 1, '2026-11-29 13:51:28.858206+00', 'postgres', 'psql', '127.0.0.1', '{"provide" : {"event" : "go", "payload" : null}}', NULL, NULL),
	('01a22792-fafd-7281-a39e-1d94083cd02e', 1, '2026-11-29 13:51:29.094363+00', 'postgres', 'psql', '127.0.0.1', '{"provide" : {"event" : "go", "payload" : {"by":"ada"}}}', NULL, NULL);
INSERT INTO amends.start_key VALUES
	('cursed', 'put_aside', '01a22792-9792-7826-a021-b4395b3ba653', '\x44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', '2026-11-29 13:50:48.207902+00'),
	('cursed', 'read_twice', '01a22792-c0eb-7696-8679-9ad0adde181d', '\x44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', '2026-11-29 13:50:58.792911+00'),
	('trip', 'died_twice', '01a22792-dfa3-7077-91d3-4d682668c31f', '\x0624b81fb1a8f6706f606826a801e9516a567bee1840c8064800daad1bc552ba', '2026-11-29 13:51:06.656132+00'),
	('trip', 'died_once', '01a22792-e225-727e-8c6e-3fab8ab9c924', '\x0624b81fb1a8f6706f606826a801e9516a567bee1840c8064800daad1bc552ba', '2026-11-29 13:51:07.298456+00'),
	('trip', 'closed', '01a22792-eeed-751b-8c16-5ec25750d510', '\x41b56d50eae547f95758474c8e69ae425a4e662b316fe6837e39fd30693fe97d', '2026-11-29 13:51:10.570305+00'),
	('trip', 'closed_too', '01a22792-ef57-77eb-8d83-d234aa5bd468', '\xa83b77fdd2757e05fb546f5f77d8167e69cd1a4913c7256901de04581bc6d711', '2026-11-29 13:51:10.668317+00'),
	('trip', 'closed_third', '01a22792-efdb-764d-b865-60a9657657f2', '\x41b56d50eae547f95758474c8e69ae425a4e662b316fe6837e39fd30693fe97d', '2026-11-29 13:51:10.8044+00'),
	('trip', 'done_then', '01a22792-f04c-7492-9642-f5f5f3a3696e', '\x44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', '2026-11-29 13:51:10.921383+00'),
	('trip', 'undone_then', '01a22792-f0b9-71fc-83d9-2663ad74b993', '\x35c38bea7334f1858c49822dfcba95f8916aab9f3ddab8d67c86c7f774c18b7e', '2026-11-29 13:51:11.027426+00'),
	('trip', 'running', '01a22792-f138-7c78-a5a7-3cc7998f4266', '\x0624b81fb1a8f6706f606826a801e9516a567bee1840c8064800daad1bc552ba', '2026-11-29 13:51:11.147947+00'),
	('trip', 'running_before', '01a22792-f1a3-71aa-b0f6-616707279fcf', '\xd1417dfb1f25f79403301d148e12b5a020ab7d2df52d5038d24395ecbeeb010c', '2026-11-29 13:51:11.261078+00'),
	('trip', 'refused_once', '01a22792-f21c-7847-8e49-615aa89599d7', '\x0239232ccb8249c3d91f34de39a37ad1854667a490c1e4e641b95dc27bc265c8', '2026-11-29 13:51:11.375378+00'),
	('trip', 'backing_off', '01a22792-f274-7b4b-871d-1cd84fe61d30', '\x41b56d50eae547f95758474c8e69ae425a4e662b316fe6837e39fd30693fe97d', '2026-11-29 13:51:11.473476+00'),
	('trip', 'backing_off_twice', '01a22792-f2e9-7462-9622-c640c968ef3d', '\x3476fed6ff04655b7696c8628db3e668dc0c6be508e82a917622ba0d468e8fd9', '2026-11-29 13:51:11.58536+00'),
	('trip', 'backing_off_here', '01a22792-f337-74c3-9c7a-ce70e1e9e731', '\xf00e8786c62b8dccb1be59a5ac96147bee79a1146db491d2ea6b37a871a5b27c', '2026-11-29 13:51:11.665457+00'),
	('trip', 'lost_here', '01a22792-f3b8-73fd-af92-fee9736f1a01', '\x1e87fbc459caa3de5ee113f303f572a4252be0c4b53b617a58269f5fa29486c1', '2026-11-29 13:51:11.797897+00'),
	('ticket', 'doubt_applied', '01a22792-f42f-7274-961f-1fd018e5100d', '\x2b8d20f64b3a3d25adddaab20bd3272f770408dc4233ef10a2c99ba88ca5c2bd', '2026-11-29 13:51:11.917053+00'),
	('ticket', 'doubt_absent', '01a22792-f4ba-753f-9cb7-ac05681f779b', '\x874e90a6bb50129750c76fc606e7a85e9d4f124e981c80ac4b275332bc326d98', '2026-11-29 13:51:12.04865+00'),
	('ticket', 'doubt_cancelled', '01a22792-f524-73f3-8e52-77dd50a31872', '\x2b8d20f64b3a3d25adddaab20bd3272f770408dc4233ef10a2c99ba88ca5c2bd', '2026-11-29 13:51:12.161481+00'),
	('ticket', 'doubt_cancelled_absent', '01a22792-f5aa-79ad-a483-6495801d71e8', '\xa11ad5247c2cd03a1655d35e332fb3d0c430ba385440d5778e3a0aefa6b76eaa', '2026-11-29 13:51:12.295958+00'),
	('ticket', 'doubt_running', '01a22792-f62f-79fd-965a-4f41404ec7b0', '\xcf9d97403a5bfca8b01e0733fe2811803f095da01145443910d007f67f4aaf48', '2026-11-29 13:51:12.427304+00'),
	('ticket', 'probing', '01a22792-f6e6-7807-9369-48dae4ea2153', '\xf297f0a4053359090b85c3e48fecafb4e2d0d57eb7945c9cd554a88e7d446273', '2026-11-29 13:51:12.603539+00'),
	('ticket', 'pending_applied', '01a22792-f755-7532-91fb-965c85df5a7c', '\xb9cb05f9914da8a67a6482628ebbce0c48911c6e0715ee6d053b708c45f31351', '2026-11-29 13:51:12.722507+00'),
	('ticket', 'pending_absent', '01a22792-f7d1-72e8-98d9-9cea18d0ec93', '\xf6d03b63f96399d9d81aaf99efe28bffed8b03ffed5ad46041a8134ea8449680', '2026-11-29 13:51:12.839021+00'),
	('trip', 'pending_event', '01a22792-f847-756d-8d75-686a2fe502d1', '\xe5dac09176911fa995966a8c0f8dadd3b50dc1f6bc79f97e42491b0fd2e6bd65', '2026-11-29 13:51:12.964317+00'),
	('trip', 'pending_undo', '01a22792-f8b2-79a1-8080-8bbf4b039b9b', '\x8119398b4fd723cfd1aad397d30759430ca06c91302df6b49ee17e6943369494', '2026-11-29 13:51:13.070328+00'),
	('safe', 'unresolved', '01a22792-f974-746c-b3c8-b0116afbd8fa', '\xbe1f7b96d6da9797fb2779487266eae57ef4a18b2df389e47228ca137e0d1069', '2026-11-29 13:51:13.261477+00'),
	('safe', 'unresolved_absent', '01a22792-fa00-7391-83fc-5565140d7f89', '\xe1613adca9dd493c11b02b26c6a56c5e04f47d73ab156d91a2d7dd0103870da8', '2026-11-29 13:51:13.403156+00'),
	('waits', 'awaiting', '01a22792-faa5-7cd7-8f50-741f7d848e6b', '\x44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', '2026-11-29 13:51:13.570008+00'),
	('waits', 'provided', '01a22792-fafd-7281-a39e-1d94083cd02e', '\x44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', '2026-11-29 13:51:13.65831+00'),
	('naps', 'sleeping', '01a22792-fba9-732d-9b0f-e6e786916291', '\x44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', '2026-11-29 13:51:13.830087+00'),
	('asks', 'asking', '01a22792-fc2e-7a33-854f-cf91a3a4af33', '\x44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', '2026-11-29 13:51:13.961425+00'),
	('asks', 'denied', '01a22792-fcb4-7276-aa11-b4c50666521b', '\x44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', '2026-11-29 13:51:14.097369+00'),
	('trip', 'compensating', '01a22792-fd3b-756c-bff1-37a0ca32cae1', '\x207b0a9eae2c859216c47b1728a669f92af7969bfc67fa5e1757f3e7fb3f6e46', '2026-11-29 13:51:14.232643+00'),
	('trip', 'compensating_before', '01a22792-fdb9-72da-a1ed-b4116516bdd9', '\x63f7fd730a35023e5f9a0a95b3cc8e6eafe7020128f1d07838d713b851f034e2', '2026-11-29 13:51:14.358127+00'),
	('trip', 'undo_backing_off', '01a22792-fe3d-75bb-9fa9-530e14761f15', '\x2bf68f75b5bf000b37cbcdbb4bc4f684b86012c0b75a1816aeadf361e0ff48c3', '2026-11-29 13:51:14.485572+00'),
	('trip', 'undo_refused_once', '01a22792-fef7-7bcd-a2ff-8458c1a3f58a', '\x48667f685397263960b009486fd0290e95bc6d509d10dc3705f2de97b0342620', '2026-11-29 13:51:14.676353+00'),
	('ticket', 'undo_doubt_applied', '01a22792-ff72-7e3b-8a39-33cfc093cbb5', '\x20844c8317a265a98c8b65586bb546422f42b79ae4dcba4a7b1cc8c4531f2438', '2026-11-29 13:51:14.794009+00'),
	('ticket', 'undo_doubt_absent', '01a22793-001b-74a4-a222-cb98099e91ae', '\x817d2aa11b1949a92bfa8976218e2a719db6ce8c27ec15622811814ca694f4df', '2026-11-29 13:51:14.963266+00'),
	('blind', 'stuck_doubt_applied', '01a22793-0094-74e1-a29e-ace0c316481d', '\xbe1f7b96d6da9797fb2779487266eae57ef4a18b2df389e47228ca137e0d1069', '2026-11-29 13:51:15.089629+00'),
	('blind', 'stuck_doubt_absent', '01a22793-014c-733b-a118-a6976881123f', '\xe1613adca9dd493c11b02b26c6a56c5e04f47d73ab156d91a2d7dd0103870da8', '2026-11-29 13:51:15.273487+00'),
	('blind', 'stuck_doubt_undone', '01a22793-020d-7d00-8532-63ebf56267c1', '\xbe1f7b96d6da9797fb2779487266eae57ef4a18b2df389e47228ca137e0d1069', '2026-11-29 13:51:15.453765+00'),
	('parcel', 'stuck_failed', '01a22793-029a-7851-b0e9-306889eaadfd', '\x35c38bea7334f1858c49822dfcba95f8916aab9f3ddab8d67c86c7f774c18b7e', '2026-11-29 13:51:15.602783+00'),
	('trip', 'stuck_undo', '01a22793-0318-7d5d-9dcc-106354f1c480', '\x75aa3b2b857550a523f828a3ae4b5d1899dd4c0a6a7a9d70d44d2374dc1943a0', '2026-11-29 13:51:15.731615+00'),
	('trip', 'paused', '01a22793-03c1-7281-b429-9f719cd85595', '\x41b56d50eae547f95758474c8e69ae425a4e662b316fe6837e39fd30693fe97d', '2026-11-29 13:51:15.901963+00'),
	('trip', 'paused_calling', '01a22793-046c-7982-9d21-079078920d80', '\x0624b81fb1a8f6706f606826a801e9516a567bee1840c8064800daad1bc552ba', '2026-11-29 13:51:16.073382+00'),
	('cart', 'open', '01a22793-0528-7bec-868b-cf26bc3b4360', '\xc5faf1fff277117aced55c2e7384504eefee39ca0de408c1fffb301533c13ac7', '2026-11-29 13:51:16.261416+00'),
	('cart', 'open_aborted', '01a22793-05cc-7b32-b46f-9d12b17d80b0', '\xc5faf1fff277117aced55c2e7384504eefee39ca0de408c1fffb301533c13ac7', '2026-11-29 13:51:16.425375+00'),
	('cart', 'open_calling', '01a22793-0664-73b2-8c72-319f9d731bc3', '\x85763a34343ce573383e5cc7a85150f6b7bc65f16559b0d36cc6b7690de50b0e', '2026-11-29 13:51:16.577438+00'),
	('within', 'within_calling', '01a22793-071c-7987-9607-1c4f24629acc', '\xd1417dfb1f25f79403301d148e12b5a020ab7d2df52d5038d24395ecbeeb010c', '2026-11-29 13:51:16.761405+00'),
	('within', 'within_undoing', '01a22793-07f3-7e6b-b0f5-2b089261ec21', '\xa3906d6ee4a1b41b2739ab54a6e7bd18b8db22eff6da246d9940d77b37887936', '2026-11-29 13:51:16.975185+00'),
	('turns', 'turn', '01a22793-087c-75a8-885a-ef8c7c616c52', '\x9c13c01d077368abe596566e8b1947be9e86ff853dd39ada9f280f8e1bf7f125', '2026-11-29 13:51:17.109366+00'),
	('turns', 'turn_after', '01a22793-08dd-7fe1-a1c2-4ca67cf0fe51', '\x15faacff9999667713ea0b9ae54ec3ce433a30d07acdc72bf7a759147ad45d1e', '2026-11-29 13:51:17.21064+00'),
	('tells', 'tells', '01a22793-095d-726f-8c37-14e896bdd767', '\x44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', '2026-11-29 13:51:17.338196+00'),
	('trip', 'queued', '01a22793-3438-78a2-9677-26c5a73c6167', '\x44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', '2026-11-29 13:51:28.309362+00'),
	('trip', 'queued_cancelled', '01a22793-348d-7eba-bf69-6c9cb2ea5d44', '\x44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', '2026-11-29 13:51:28.395079+00'),
	('waits', 'queued_provided', '01a22793-34e6-7bbd-98f4-c0158e448270', '\x44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', '2026-11-29 13:51:28.483335+00');
INSERT INTO amends.timer VALUES
	('01a22792-9792-7826-a021-b4395b3ba653', 'infinity'),
	('01a22793-08dd-7fe1-a1c2-4ca67cf0fe51', 'infinity'),
	('01a22792-f755-7532-91fb-965c85df5a7c', '2026-11-29 13:52:17.832+00'),
	('01a22792-f7d1-72e8-98d9-9cea18d0ec93', '2026-11-29 13:52:17.83+00'),
	('01a22792-faa5-7cd7-8f50-741f7d848e6b', 'infinity'),
	('01a22792-fafd-7281-a39e-1d94083cd02e', 'infinity'),
	('01a22792-fc2e-7a33-854f-cf91a3a4af33', 'infinity'),
	('01a22792-fba9-732d-9b0f-e6e786916291', '2026-11-29 13:52:17.873+00'),
	('01a22792-fcb4-7276-aa11-b4c50666521b', 'infinity'),
	('01a22792-f274-7b4b-871d-1cd84fe61d30', '2026-11-29 13:52:17.912+00'),
	('01a22792-f42f-7274-961f-1fd018e5100d', '2026-11-29 13:52:17.901+00'),
	('01a22792-f4ba-753f-9cb7-ac05681f779b', '2026-11-29 13:52:17.832+00'),
	('01a22792-f847-756d-8d75-686a2fe502d1', 'infinity'),
	('01a22792-f974-746c-b3c8-b0116afbd8fa', '2026-11-29 13:52:17.927+00'),
	('01a22792-fa00-7391-83fc-5565140d7f89', '2026-11-29 13:52:17.928+00'),
	('01a22793-0094-74e1-a29e-ace0c316481d', 'infinity'),
	('01a22793-014c-733b-a118-a6976881123f', 'infinity'),
	('01a22793-020d-7d00-8532-63ebf56267c1', 'infinity'),
	('01a22792-fe3d-75bb-9fa9-530e14761f15', '2026-11-29 13:52:17.939+00'),
	('01a22793-0318-7d5d-9dcc-106354f1c480', 'infinity'),
	('01a22792-f2e9-7462-9622-c640c968ef3d', '2026-11-29 13:52:17.945+00'),
	('01a22792-f8b2-79a1-8080-8bbf4b039b9b', 'infinity'),
	('01a22793-001b-74a4-a222-cb98099e91ae', '2026-11-29 13:52:17.945+00'),
	('01a22793-029a-7851-b0e9-306889eaadfd', 'infinity'),
	('01a22792-ff72-7e3b-8a39-33cfc093cbb5', '2026-11-29 13:52:17.954+00'),
	('01a22793-0528-7bec-868b-cf26bc3b4360', '2036-11-26 13:51:18.093+00'),
	('01a22793-05cc-7b32-b46f-9d12b17d80b0', '2036-11-26 13:51:18.34+00'),
	('01a22793-1c85-78b6-a753-1d8224bc60c5', '2026-11-29 13:52:22.779+00'),
	('01a22793-03c1-7281-b429-9f719cd85595', 'infinity'),
	('01a22792-f524-73f3-8e52-77dd50a31872', '2026-11-29 13:52:17.912+00'),
	('01a22792-f5aa-79ad-a483-6495801d71e8', '2026-11-29 13:52:17.912+00');
INSERT INTO amends.turn VALUES
	('turns', '"ada"', '01a22793-087c-75a8-885a-ef8c7c616c52');
INSERT INTO amends.unreadable VALUES
	('01a22792-9792-7826-a021-b4395b3ba653', '2026-11-29 13:50:58.460677+00', 5, '3 processes in a row died when they took it up');
INSERT INTO amends.waiting OVERRIDING SYSTEM VALUE VALUES
	('turns', '"ada"', 2, '01a22793-08dd-7fe1-a1c2-4ca67cf0fe51', 11, '{"guest":"ada","then":{}}');
INSERT INTO ledger.call OVERRIDING SYSTEM VALUE VALUES
	(1, 'then', '01a22792-9792-7826-a021-b4395b3ba653', 'a', 'a', 1, '01a22792-9792-7826-a021-b4395b3ba653/a/action/0', NULL),
	(2, 'then', '01a22792-c0eb-7696-8679-9ad0adde181d', 'a', 'a', 1, '01a22792-c0eb-7696-8679-9ad0adde181d/a/action/0', NULL),
	(3, 'then', '01a22792-dfa3-7077-91d3-4d682668c31f', 'a', 'a', 1, '01a22792-dfa3-7077-91d3-4d682668c31f/a/action/0', NULL),
	(4, 'then', '01a22792-dfa3-7077-91d3-4d682668c31f', 'b', 'b', 1, '01a22792-dfa3-7077-91d3-4d682668c31f/b/action/0', NULL),
	(5, 'then', '01a22792-e225-727e-8c6e-3fab8ab9c924', 'a', 'a', 1, '01a22792-e225-727e-8c6e-3fab8ab9c924/a/action/0', NULL),
	(6, 'then', '01a22792-e225-727e-8c6e-3fab8ab9c924', 'b', 'b', 1, '01a22792-e225-727e-8c6e-3fab8ab9c924/b/action/0', NULL),
	(7, 'then', '01a22792-dfa3-7077-91d3-4d682668c31f', 'b', 'b', 2, '01a22792-dfa3-7077-91d3-4d682668c31f/b/action/0', NULL),
	(8, 'then', '01a22792-ff72-7e3b-8a39-33cfc093cbb5', 'a', 'a', 1, '01a22792-ff72-7e3b-8a39-33cfc093cbb5/a/action/0', NULL),
	(9, 'then', '01a22792-eeed-751b-8c16-5ec25750d510', 'a', 'a', 1, '01a22792-eeed-751b-8c16-5ec25750d510/a/action/0', NULL),
	(10, 'then', '01a22793-03c1-7281-b429-9f719cd85595', 'a', 'a', 1, '01a22793-03c1-7281-b429-9f719cd85595/a/action/0', NULL),
	(11, 'then', '01a22792-f42f-7274-961f-1fd018e5100d', 'a', 'a', 1, '01a22792-f42f-7274-961f-1fd018e5100d/a/action/0', NULL),
	(12, 'then', '01a22792-faa5-7cd7-8f50-741f7d848e6b', 'a', 'a', 1, '01a22792-faa5-7cd7-8f50-741f7d848e6b/a/action/0', NULL),
	(13, 'then', '01a22792-f755-7532-91fb-965c85df5a7c', 'a', 'a', 1, '01a22792-f755-7532-91fb-965c85df5a7c/a/action/0', NULL),
	(14, 'then', '01a22792-f04c-7492-9642-f5f5f3a3696e', 'a', 'a', 1, '01a22792-f04c-7492-9642-f5f5f3a3696e/a/action/0', NULL),
	(15, 'then', '01a22792-fc2e-7a33-854f-cf91a3a4af33', 'a', 'a', 1, '01a22792-fc2e-7a33-854f-cf91a3a4af33/a/action/0', NULL),
	(16, 'then', '01a22792-f138-7c78-a5a7-3cc7998f4266', 'a', 'a', 1, '01a22792-f138-7c78-a5a7-3cc7998f4266/a/action/0', NULL),
	(17, 'then', '01a22793-07f3-7e6b-b0f5-2b089261ec21', 'a', 'a', 1, '01a22793-07f3-7e6b-b0f5-2b089261ec21/a/action/0', NULL),
	(18, 'then', '01a22792-f0b9-71fc-83d9-2663ad74b993', 'a', 'a', 1, '01a22792-f0b9-71fc-83d9-2663ad74b993/a/action/0', NULL),
	(19, 'then', '01a22792-fafd-7281-a39e-1d94083cd02e', 'a', 'a', 1, '01a22792-fafd-7281-a39e-1d94083cd02e/a/action/0', NULL),
	(20, 'then', '01a22792-efdb-764d-b865-60a9657657f2', 'a', 'a', 1, '01a22792-efdb-764d-b865-60a9657657f2/a/action/0', NULL),
	(21, 'then', '01a22793-0094-74e1-a29e-ace0c316481d', 'a', 'a', 1, '01a22793-0094-74e1-a29e-ace0c316481d/a/action/0', NULL),
	(22, 'then', '01a22792-f6e6-7807-9369-48dae4ea2153', 'a', 'a', 1, '01a22792-f6e6-7807-9369-48dae4ea2153/a/action/0', NULL),
	(23, 'then', '01a22792-fba9-732d-9b0f-e6e786916291', 'a', 'a', 1, '01a22792-fba9-732d-9b0f-e6e786916291/a/action/0', NULL),
	(24, 'then', '01a22792-f5aa-79ad-a483-6495801d71e8', 'a', 'a', 1, '01a22792-f5aa-79ad-a483-6495801d71e8/a/action/0', NULL),
	(25, 'then', '01a22792-f62f-79fd-965a-4f41404ec7b0', 'a', 'a', 1, '01a22792-f62f-79fd-965a-4f41404ec7b0/a/action/0', NULL),
	(26, 'then', '01a22793-014c-733b-a118-a6976881123f', 'a', 'a', 1, '01a22793-014c-733b-a118-a6976881123f/a/action/0', NULL),
	(27, 'then', '01a22792-fcb4-7276-aa11-b4c50666521b', 'a', 'a', 1, '01a22792-fcb4-7276-aa11-b4c50666521b/a/action/0', NULL),
	(28, 'then', '01a22792-fe3d-75bb-9fa9-530e14761f15', 'a', 'a', 1, '01a22792-fe3d-75bb-9fa9-530e14761f15/a/action/0', NULL),
	(29, 'then', '01a22792-fd3b-756c-bff1-37a0ca32cae1', 'a', 'a', 1, '01a22792-fd3b-756c-bff1-37a0ca32cae1/a/action/0', NULL),
	(30, 'then', '01a22792-ef57-77eb-8d83-d234aa5bd468', 'a', 'a', 1, '01a22792-ef57-77eb-8d83-d234aa5bd468/a/action/0', NULL),
	(31, 'then', '01a22792-f1a3-71aa-b0f6-616707279fcf', 'a', 'a', 1, '01a22792-f1a3-71aa-b0f6-616707279fcf/a/action/0', NULL),
	(32, 'then', '01a22792-f4ba-753f-9cb7-ac05681f779b', 'a', 'a', 1, '01a22792-f4ba-753f-9cb7-ac05681f779b/a/action/0', NULL),
	(33, 'then', '01a22792-f21c-7847-8e49-615aa89599d7', 'a', 'a', 1, '01a22792-f21c-7847-8e49-615aa89599d7/a/action/0', NULL),
	(34, 'then', '01a22792-f847-756d-8d75-686a2fe502d1', 'a', 'a', 1, '01a22792-f847-756d-8d75-686a2fe502d1/a/action/0', NULL),
	(35, 'then', '01a22792-f2e9-7462-9622-c640c968ef3d', 'a', 'a', 1, '01a22792-f2e9-7462-9622-c640c968ef3d/a/action/0', NULL),
	(36, 'then', '01a22792-f274-7b4b-871d-1cd84fe61d30', 'a', 'a', 1, '01a22792-f274-7b4b-871d-1cd84fe61d30/a/action/0', NULL),
	(37, 'then', '01a22792-f337-74c3-9c7a-ce70e1e9e731', 'a', 'a', 1, '01a22792-f337-74c3-9c7a-ce70e1e9e731/a/action/0', NULL),
	(38, 'then', '01a22792-f7d1-72e8-98d9-9cea18d0ec93', 'a', 'a', 1, '01a22792-f7d1-72e8-98d9-9cea18d0ec93/a/action/0', NULL),
	(39, 'then', '01a22792-f8b2-79a1-8080-8bbf4b039b9b', 'a', 'a', 1, '01a22792-f8b2-79a1-8080-8bbf4b039b9b/a/action/0', NULL),
	(40, 'then', '01a22792-fdb9-72da-a1ed-b4116516bdd9', 'a', 'a', 1, '01a22792-fdb9-72da-a1ed-b4116516bdd9/a/action/0', NULL),
	(41, 'then', '01a22792-f974-746c-b3c8-b0116afbd8fa', 'a', 'a', 1, '01a22792-f974-746c-b3c8-b0116afbd8fa/a/action/0', NULL),
	(42, 'then', '01a22792-fef7-7bcd-a2ff-8458c1a3f58a', 'a', 'a', 1, '01a22792-fef7-7bcd-a2ff-8458c1a3f58a/a/action/0', NULL),
	(43, 'then', '01a22793-020d-7d00-8532-63ebf56267c1', 'a', 'a', 1, '01a22793-020d-7d00-8532-63ebf56267c1/a/action/0', NULL),
	(44, 'then', '01a22792-f3b8-73fd-af92-fee9736f1a01', 'a', 'a', 1, '01a22792-f3b8-73fd-af92-fee9736f1a01/a/action/0', NULL),
	(45, 'then', '01a22793-046c-7982-9d21-079078920d80', 'a', 'a', 1, '01a22793-046c-7982-9d21-079078920d80/a/action/0', NULL),
	(46, 'then', '01a22792-f524-73f3-8e52-77dd50a31872', 'a', 'a', 1, '01a22792-f524-73f3-8e52-77dd50a31872/a/action/0', NULL),
	(47, 'then', '01a22793-071c-7987-9607-1c4f24629acc', 'a', 'a', 1, '01a22793-071c-7987-9607-1c4f24629acc/a/action/0', NULL),
	(48, 'then', '01a22793-001b-74a4-a222-cb98099e91ae', 'a', 'a', 1, '01a22793-001b-74a4-a222-cb98099e91ae/a/action/0', NULL),
	(49, 'then', '01a22793-0318-7d5d-9dcc-106354f1c480', 'a', 'a', 1, '01a22793-0318-7d5d-9dcc-106354f1c480/a/action/0', NULL),
	(50, 'then', '01a22793-095d-726f-8c37-14e896bdd767', 'a', 'a', 1, '01a22793-095d-726f-8c37-14e896bdd767/a/action/0', NULL),
	(51, 'then', '01a22792-fa00-7391-83fc-5565140d7f89', 'a', 'a', 1, '01a22792-fa00-7391-83fc-5565140d7f89/a/action/0', NULL),
	(52, 'then', '01a22793-029a-7851-b0e9-306889eaadfd', 'a', 'a', 1, '01a22793-029a-7851-b0e9-306889eaadfd/a/action/0', NULL),
	(53, 'then', '01a22793-087c-75a8-885a-ef8c7c616c52', 'a', 'a', 1, '01a22793-087c-75a8-885a-ef8c7c616c52/a/action/0', NULL),
	(54, 'then', '01a22792-f4ba-753f-9cb7-ac05681f779b', 'a', '?a', 1, '01a22792-f4ba-753f-9cb7-ac05681f779b/a/action/0', NULL),
	(55, 'then', '01a22793-03c1-7281-b429-9f719cd85595', 'b', 'b', 1, '01a22793-03c1-7281-b429-9f719cd85595/b/action/0', NULL),
	(56, 'then', '01a22792-f6e6-7807-9369-48dae4ea2153', 'a', '?a', 1, '01a22792-f6e6-7807-9369-48dae4ea2153/a/action/0', NULL),
	(57, 'then', '01a22792-eeed-751b-8c16-5ec25750d510', 'b', 'b', 1, '01a22792-eeed-751b-8c16-5ec25750d510/b/action/0', NULL),
	(58, 'then', '01a22792-efdb-764d-b865-60a9657657f2', 'b', 'b', 1, '01a22792-efdb-764d-b865-60a9657657f2/b/action/0', NULL),
	(59, 'then', '01a22792-f0b9-71fc-83d9-2663ad74b993', 'b', 'b', 1, '01a22792-f0b9-71fc-83d9-2663ad74b993/b/action/0', NULL),
	(60, 'then', '01a22793-0094-74e1-a29e-ace0c316481d', 'b', 'b', 1, '01a22793-0094-74e1-a29e-ace0c316481d/b/action/0', NULL),
	(61, 'then', '01a22792-f42f-7274-961f-1fd018e5100d', 'a', '?a', 1, '01a22792-f42f-7274-961f-1fd018e5100d/a/action/0', NULL),
	(62, 'then', '01a22792-ff72-7e3b-8a39-33cfc093cbb5', 'b', 'b', 1, '01a22792-ff72-7e3b-8a39-33cfc093cbb5/b/action/0', NULL),
	(63, 'then', '01a22792-f04c-7492-9642-f5f5f3a3696e', 'b', 'b', 1, '01a22792-f04c-7492-9642-f5f5f3a3696e/b/action/0', NULL),
	(64, 'then', '01a22792-f138-7c78-a5a7-3cc7998f4266', 'b', 'b', 1, '01a22792-f138-7c78-a5a7-3cc7998f4266/b/action/0', NULL),
	(65, 'then', '01a22793-020d-7d00-8532-63ebf56267c1', 'b', 'b', 1, '01a22793-020d-7d00-8532-63ebf56267c1/b/action/0', NULL),
	(66, 'then', '01a22792-fef7-7bcd-a2ff-8458c1a3f58a', 'b', 'b', 1, '01a22792-fef7-7bcd-a2ff-8458c1a3f58a/b/action/0', NULL),
	(67, 'then', '01a22793-014c-733b-a118-a6976881123f', 'b', 'b', 1, '01a22793-014c-733b-a118-a6976881123f/b/action/0', NULL),
	(68, 'then', '01a22792-f1a3-71aa-b0f6-616707279fcf', 'b', 'b', 1, '01a22792-f1a3-71aa-b0f6-616707279fcf/b/action/0', NULL),
	(69, 'then', '01a22792-f3b8-73fd-af92-fee9736f1a01', 'b', 'b', 1, '01a22792-f3b8-73fd-af92-fee9736f1a01/b/action/0', NULL),
	(70, 'then', '01a22792-f21c-7847-8e49-615aa89599d7', 'b', 'b', 1, '01a22792-f21c-7847-8e49-615aa89599d7/b/action/0', NULL),
	(71, 'then', '01a22792-f337-74c3-9c7a-ce70e1e9e731', 'b', 'b', 1, '01a22792-f337-74c3-9c7a-ce70e1e9e731/b/action/0', NULL),
	(72, 'then', '01a22792-f5aa-79ad-a483-6495801d71e8', 'a', '?a', 1, '01a22792-f5aa-79ad-a483-6495801d71e8/a/action/0', NULL),
	(73, 'then', '01a22792-f8b2-79a1-8080-8bbf4b039b9b', 'b', 'b', 1, '01a22792-f8b2-79a1-8080-8bbf4b039b9b/b/action/0', NULL),
	(74, 'then', '01a22792-f524-73f3-8e52-77dd50a31872', 'a', '?a', 1, '01a22792-f524-73f3-8e52-77dd50a31872/a/action/0', NULL),
	(75, 'then', '01a22792-fe3d-75bb-9fa9-530e14761f15', 'b', 'b', 1, '01a22792-fe3d-75bb-9fa9-530e14761f15/b/action/0', NULL),
	(76, 'then', '01a22792-f847-756d-8d75-686a2fe502d1', 'b', 'b', 1, '01a22792-f847-756d-8d75-686a2fe502d1/b/action/0', NULL),
	(77, 'then', '01a22793-046c-7982-9d21-079078920d80', 'b', 'b', 1, '01a22793-046c-7982-9d21-079078920d80/b/action/0', NULL),
	(78, 'then', '01a22792-fd3b-756c-bff1-37a0ca32cae1', 'b', 'b', 1, '01a22792-fd3b-756c-bff1-37a0ca32cae1/b/action/0', NULL),
	(79, 'then', '01a22792-fdb9-72da-a1ed-b4116516bdd9', 'b', 'b', 1, '01a22792-fdb9-72da-a1ed-b4116516bdd9/b/action/0', NULL),
	(80, 'then', '01a22792-f2e9-7462-9622-c640c968ef3d', 'b', 'b', 1, '01a22792-f2e9-7462-9622-c640c968ef3d/b/action/0', NULL),
	(81, 'then', '01a22792-ef57-77eb-8d83-d234aa5bd468', 'b', 'b', 1, '01a22792-ef57-77eb-8d83-d234aa5bd468/b/action/0', NULL),
	(82, 'then', '01a22792-f274-7b4b-871d-1cd84fe61d30', 'b', 'b', 1, '01a22792-f274-7b4b-871d-1cd84fe61d30/b/action/0', NULL),
	(83, 'then', '01a22792-f974-746c-b3c8-b0116afbd8fa', 'b', 'b', 1, '01a22792-f974-746c-b3c8-b0116afbd8fa/b/action/0', NULL),
	(84, 'then', '01a22793-001b-74a4-a222-cb98099e91ae', 'b', 'b', 1, '01a22793-001b-74a4-a222-cb98099e91ae/b/action/0', NULL),
	(85, 'then', '01a22793-0318-7d5d-9dcc-106354f1c480', 'b', 'b', 1, '01a22793-0318-7d5d-9dcc-106354f1c480/b/action/0', NULL),
	(86, 'then', '01a22793-029a-7851-b0e9-306889eaadfd', 'p', 'p', 1, '01a22793-029a-7851-b0e9-306889eaadfd/p/action/0', NULL),
	(87, 'then', '01a22792-fa00-7391-83fc-5565140d7f89', 'b', 'b', 1, '01a22792-fa00-7391-83fc-5565140d7f89/b/action/0', NULL),
	(88, 'then', '01a22792-f0b9-71fc-83d9-2663ad74b993', 'a', '~a', 1, '01a22792-f0b9-71fc-83d9-2663ad74b993/a/compensation/0', '01a22792-f0b9-71fc-83d9-2663ad74b993/a/action/0'),
	(89, 'then', '01a22793-001b-74a4-a222-cb98099e91ae', 'a', '~a', 1, '01a22793-001b-74a4-a222-cb98099e91ae/a/compensation/0', '01a22793-001b-74a4-a222-cb98099e91ae/a/action/0'),
	(90, 'then', '01a22793-07f3-7e6b-b0f5-2b089261ec21', 'b', 'b', 1, '01a22793-07f3-7e6b-b0f5-2b089261ec21/b/action/0', NULL),
	(91, 'then', '01a22792-fe3d-75bb-9fa9-530e14761f15', 'a', '~a', 1, '01a22792-fe3d-75bb-9fa9-530e14761f15/a/compensation/0', '01a22792-fe3d-75bb-9fa9-530e14761f15/a/action/0'),
	(92, 'then', '01a22792-ff72-7e3b-8a39-33cfc093cbb5', 'a', '~a', 1, '01a22792-ff72-7e3b-8a39-33cfc093cbb5/a/compensation/0', '01a22792-ff72-7e3b-8a39-33cfc093cbb5/a/action/0'),
	(93, 'then', '01a22793-0318-7d5d-9dcc-106354f1c480', 'a', '~a', 1, '01a22793-0318-7d5d-9dcc-106354f1c480/a/compensation/0', '01a22793-0318-7d5d-9dcc-106354f1c480/a/action/0'),
	(94, 'then', '01a22792-fef7-7bcd-a2ff-8458c1a3f58a', 'a', '~a', 1, '01a22792-fef7-7bcd-a2ff-8458c1a3f58a/a/compensation/0', '01a22792-fef7-7bcd-a2ff-8458c1a3f58a/a/action/0'),
	(95, 'then', '01a22792-fd3b-756c-bff1-37a0ca32cae1', 'a', '~a', 1, '01a22792-fd3b-756c-bff1-37a0ca32cae1/a/compensation/0', '01a22792-fd3b-756c-bff1-37a0ca32cae1/a/action/0'),
	(96, 'then', '01a22792-fdb9-72da-a1ed-b4116516bdd9', 'a', '~a', 1, '01a22792-fdb9-72da-a1ed-b4116516bdd9/a/compensation/0', '01a22792-fdb9-72da-a1ed-b4116516bdd9/a/action/0'),
	(97, 'then', '01a22792-f8b2-79a1-8080-8bbf4b039b9b', 'a', '~a', 1, '01a22792-f8b2-79a1-8080-8bbf4b039b9b/a/compensation/0', '01a22792-f8b2-79a1-8080-8bbf4b039b9b/a/action/0'),
	(98, 'then', '01a22793-029a-7851-b0e9-306889eaadfd', 'b', 'b', 1, '01a22793-029a-7851-b0e9-306889eaadfd/b/action/0', NULL),
	(99, 'then', '01a22793-001b-74a4-a222-cb98099e91ae', 'a', '?a', 1, '01a22793-001b-74a4-a222-cb98099e91ae/a/compensation/0', '01a22793-001b-74a4-a222-cb98099e91ae/a/action/0'),
	(100, 'then', '01a22792-f21c-7847-8e49-615aa89599d7', 'b', 'b', 2, '01a22792-f21c-7847-8e49-615aa89599d7/b/action/1', NULL),
	(101, 'then', '01a22792-f2e9-7462-9622-c640c968ef3d', 'b', 'b', 2, '01a22792-f2e9-7462-9622-c640c968ef3d/b/action/1', NULL),
	(102, 'then', '01a22792-ff72-7e3b-8a39-33cfc093cbb5', 'a', '?a', 1, '01a22792-ff72-7e3b-8a39-33cfc093cbb5/a/compensation/0', '01a22792-ff72-7e3b-8a39-33cfc093cbb5/a/action/0'),
	(103, 'then', '01a22793-071c-7987-9607-1c4f24629acc', 'b', 'b', 1, '01a22793-071c-7987-9607-1c4f24629acc/b/action/0', NULL),
	(104, 'then', '01a22792-f3b8-73fd-af92-fee9736f1a01', 'b', 'b', 2, '01a22792-f3b8-73fd-af92-fee9736f1a01/b/action/0', NULL),
	(105, 'then', '01a22792-fef7-7bcd-a2ff-8458c1a3f58a', 'a', '~a', 2, '01a22792-fef7-7bcd-a2ff-8458c1a3f58a/a/compensation/1', '01a22792-fef7-7bcd-a2ff-8458c1a3f58a/a/action/0'),
	(106, 'then', '01a22793-07f3-7e6b-b0f5-2b089261ec21', 'c', 'c', 1, '01a22793-07f3-7e6b-b0f5-2b089261ec21/c/action/0', NULL),
	(107, 'then', '01a22793-07f3-7e6b-b0f5-2b089261ec21', 'b', '~b', 1, '01a22793-07f3-7e6b-b0f5-2b089261ec21/b/compensation/0', '01a22793-07f3-7e6b-b0f5-2b089261ec21/b/action/0'),
	(108, 'then', '01a22793-0528-7bec-868b-cf26bc3b4360', 'x', 'x', 1, '01a22793-0528-7bec-868b-cf26bc3b4360/x/action/0', NULL),
	(109, 'then', '01a22793-0528-7bec-868b-cf26bc3b4360', 'y', 'y', 1, '01a22793-0528-7bec-868b-cf26bc3b4360/y/action/0', NULL),
	(110, 'then', '01a22793-05cc-7b32-b46f-9d12b17d80b0', 'x', 'x', 1, '01a22793-05cc-7b32-b46f-9d12b17d80b0/x/action/0', NULL),
	(111, 'then', '01a22793-05cc-7b32-b46f-9d12b17d80b0', 'y', 'y', 1, '01a22793-05cc-7b32-b46f-9d12b17d80b0/y/action/0', NULL),
	(112, 'then', '01a22793-0664-73b2-8c72-319f9d731bc3', 'x', 'x', 1, '01a22793-0664-73b2-8c72-319f9d731bc3/x/action/0', NULL),
	(113, 'then', '01a22793-0664-73b2-8c72-319f9d731bc3', 'y', 'y', 1, '01a22793-0664-73b2-8c72-319f9d731bc3/y/action/0', NULL),
	(114, 'then', '01a22792-e225-727e-8c6e-3fab8ab9c924', 'b', 'b', 2, '01a22792-e225-727e-8c6e-3fab8ab9c924/b/action/0', NULL),
	(115, 'then', '01a22792-dfa3-7077-91d3-4d682668c31f', 'b', 'b', 3, '01a22792-dfa3-7077-91d3-4d682668c31f/b/action/0', NULL),
	(116, 'then', '01a22793-1c85-78b6-a753-1d8224bc60c5', 'b', 'b', 1, '01a22793-1c85-78b6-a753-1d8224bc60c5/b/action/0', NULL),
	(117, 'then', '01a22792-f337-74c3-9c7a-ce70e1e9e731', 'b', 'b', 2, '01a22792-f337-74c3-9c7a-ce70e1e9e731/b/action/1', NULL);
INSERT INTO ledger.effect VALUES
	('01a22792-9792-7826-a021-b4395b3ba653', 'a', 'action', '01a22792-9792-7826-a021-b4395b3ba653/a/action/0', NULL),
	('01a22792-c0eb-7696-8679-9ad0adde181d', 'a', 'action', '01a22792-c0eb-7696-8679-9ad0adde181d/a/action/0', NULL),
	('01a22792-dfa3-7077-91d3-4d682668c31f', 'a', 'action', '01a22792-dfa3-7077-91d3-4d682668c31f/a/action/0', NULL),
	('01a22792-dfa3-7077-91d3-4d682668c31f', 'b', 'action', '01a22792-dfa3-7077-91d3-4d682668c31f/b/action/0', NULL),
	('01a22792-e225-727e-8c6e-3fab8ab9c924', 'a', 'action', '01a22792-e225-727e-8c6e-3fab8ab9c924/a/action/0', NULL),
	('01a22792-e225-727e-8c6e-3fab8ab9c924', 'b', 'action', '01a22792-e225-727e-8c6e-3fab8ab9c924/b/action/0', NULL),
	('01a22792-eeed-751b-8c16-5ec25750d510', 'a', 'action', '01a22792-eeed-751b-8c16-5ec25750d510/a/action/0', NULL),
	('01a22793-03c1-7281-b429-9f719cd85595', 'a', 'action', '01a22793-03c1-7281-b429-9f719cd85595/a/action/0', NULL),
	('01a22792-f42f-7274-961f-1fd018e5100d', 'a', 'action', '01a22792-f42f-7274-961f-1fd018e5100d/a/action/0', NULL),
	('01a22792-faa5-7cd7-8f50-741f7d848e6b', 'a', 'action', '01a22792-faa5-7cd7-8f50-741f7d848e6b/a/action/0', NULL),
	('01a22792-f755-7532-91fb-965c85df5a7c', 'a', 'action', '01a22792-f755-7532-91fb-965c85df5a7c/a/action/0', NULL),
	('01a22792-f04c-7492-9642-f5f5f3a3696e', 'a', 'action', '01a22792-f04c-7492-9642-f5f5f3a3696e/a/action/0', NULL),
	('01a22792-ff72-7e3b-8a39-33cfc093cbb5', 'a', 'action', '01a22792-ff72-7e3b-8a39-33cfc093cbb5/a/action/0', NULL),
	('01a22792-fc2e-7a33-854f-cf91a3a4af33', 'a', 'action', '01a22792-fc2e-7a33-854f-cf91a3a4af33/a/action/0', NULL),
	('01a22792-f138-7c78-a5a7-3cc7998f4266', 'a', 'action', '01a22792-f138-7c78-a5a7-3cc7998f4266/a/action/0', NULL),
	('01a22792-fafd-7281-a39e-1d94083cd02e', 'a', 'action', '01a22792-fafd-7281-a39e-1d94083cd02e/a/action/0', NULL),
	('01a22792-f6e6-7807-9369-48dae4ea2153', 'a', 'action', '01a22792-f6e6-7807-9369-48dae4ea2153/a/action/0', NULL),
	('01a22792-efdb-764d-b865-60a9657657f2', 'a', 'action', '01a22792-efdb-764d-b865-60a9657657f2/a/action/0', NULL),
	('01a22793-07f3-7e6b-b0f5-2b089261ec21', 'a', 'action', '01a22793-07f3-7e6b-b0f5-2b089261ec21/a/action/0', NULL),
	('01a22792-f0b9-71fc-83d9-2663ad74b993', 'a', 'action', '01a22792-f0b9-71fc-83d9-2663ad74b993/a/action/0', NULL),
	('01a22793-0094-74e1-a29e-ace0c316481d', 'a', 'action', '01a22793-0094-74e1-a29e-ace0c316481d/a/action/0', NULL),
	('01a22792-fef7-7bcd-a2ff-8458c1a3f58a', 'a', 'action', '01a22792-fef7-7bcd-a2ff-8458c1a3f58a/a/action/0', NULL),
	('01a22792-fba9-732d-9b0f-e6e786916291', 'a', 'action', '01a22792-fba9-732d-9b0f-e6e786916291/a/action/0', NULL),
	('01a22793-020d-7d00-8532-63ebf56267c1', 'a', 'action', '01a22793-020d-7d00-8532-63ebf56267c1/a/action/0', NULL),
	('01a22792-f3b8-73fd-af92-fee9736f1a01', 'a', 'action', '01a22792-f3b8-73fd-af92-fee9736f1a01/a/action/0', NULL),
	('01a22792-f337-74c3-9c7a-ce70e1e9e731', 'a', 'action', '01a22792-f337-74c3-9c7a-ce70e1e9e731/a/action/0', NULL),
	('01a22792-f62f-79fd-965a-4f41404ec7b0', 'a', 'action', '01a22792-f62f-79fd-965a-4f41404ec7b0/a/action/0', NULL),
	('01a22793-014c-733b-a118-a6976881123f', 'a', 'action', '01a22793-014c-733b-a118-a6976881123f/a/action/0', NULL),
	('01a22792-f1a3-71aa-b0f6-616707279fcf', 'a', 'action', '01a22792-f1a3-71aa-b0f6-616707279fcf/a/action/0', NULL),
	('01a22792-fcb4-7276-aa11-b4c50666521b', 'a', 'action', '01a22792-fcb4-7276-aa11-b4c50666521b/a/action/0', NULL),
	('01a22792-f21c-7847-8e49-615aa89599d7', 'a', 'action', '01a22792-f21c-7847-8e49-615aa89599d7/a/action/0', NULL),
	('01a22792-fe3d-75bb-9fa9-530e14761f15', 'a', 'action', '01a22792-fe3d-75bb-9fa9-530e14761f15/a/action/0', NULL),
	('01a22792-f847-756d-8d75-686a2fe502d1', 'a', 'action', '01a22792-f847-756d-8d75-686a2fe502d1/a/action/0', NULL),
	('01a22792-f2e9-7462-9622-c640c968ef3d', 'a', 'action', '01a22792-f2e9-7462-9622-c640c968ef3d/a/action/0', NULL),
	('01a22793-046c-7982-9d21-079078920d80', 'a', 'action', '01a22793-046c-7982-9d21-079078920d80/a/action/0', NULL),
	('01a22792-fdb9-72da-a1ed-b4116516bdd9', 'a', 'action', '01a22792-fdb9-72da-a1ed-b4116516bdd9/a/action/0', NULL),
	('01a22792-fd3b-756c-bff1-37a0ca32cae1', 'a', 'action', '01a22792-fd3b-756c-bff1-37a0ca32cae1/a/action/0', NULL),
	('01a22792-f8b2-79a1-8080-8bbf4b039b9b', 'a', 'action', '01a22792-f8b2-79a1-8080-8bbf4b039b9b/a/action/0', NULL),
	('01a22792-f524-73f3-8e52-77dd50a31872', 'a', 'action', '01a22792-f524-73f3-8e52-77dd50a31872/a/action/0', NULL),
	('01a22792-f974-746c-b3c8-b0116afbd8fa', 'a', 'action', '01a22792-f974-746c-b3c8-b0116afbd8fa/a/action/0', NULL),
	('01a22792-ef57-77eb-8d83-d234aa5bd468', 'a', 'action', '01a22792-ef57-77eb-8d83-d234aa5bd468/a/action/0', NULL),
	('01a22792-f274-7b4b-871d-1cd84fe61d30', 'a', 'action', '01a22792-f274-7b4b-871d-1cd84fe61d30/a/action/0', NULL),
	('01a22793-001b-74a4-a222-cb98099e91ae', 'a', 'action', '01a22793-001b-74a4-a222-cb98099e91ae/a/action/0', NULL),
	('01a22793-071c-7987-9607-1c4f24629acc', 'a', 'action', '01a22793-071c-7987-9607-1c4f24629acc/a/action/0', NULL),
	('01a22793-0318-7d5d-9dcc-106354f1c480', 'a', 'action', '01a22793-0318-7d5d-9dcc-106354f1c480/a/action/0', NULL),
	('01a22793-095d-726f-8c37-14e896bdd767', 'a', 'action', '01a22793-095d-726f-8c37-14e896bdd767/a/action/0', NULL),
	('01a22793-029a-7851-b0e9-306889eaadfd', 'a', 'action', '01a22793-029a-7851-b0e9-306889eaadfd/a/action/0', NULL),
	('01a22792-fa00-7391-83fc-5565140d7f89', 'a', 'action', '01a22792-fa00-7391-83fc-5565140d7f89/a/action/0', NULL),
	('01a22793-087c-75a8-885a-ef8c7c616c52', 'a', 'action', '01a22793-087c-75a8-885a-ef8c7c616c52/a/action/0', NULL),
	('01a22793-0094-74e1-a29e-ace0c316481d', 'b', 'action', '01a22793-0094-74e1-a29e-ace0c316481d/b/action/0', NULL),
	('01a22792-f04c-7492-9642-f5f5f3a3696e', 'b', 'action', '01a22792-f04c-7492-9642-f5f5f3a3696e/b/action/0', NULL),
	('01a22793-020d-7d00-8532-63ebf56267c1', 'b', 'action', '01a22793-020d-7d00-8532-63ebf56267c1/b/action/0', NULL),
	('01a22792-f138-7c78-a5a7-3cc7998f4266', 'b', 'action', '01a22792-f138-7c78-a5a7-3cc7998f4266/b/action/0', NULL),
	('01a22792-f3b8-73fd-af92-fee9736f1a01', 'b', 'action', '01a22792-f3b8-73fd-af92-fee9736f1a01/b/action/0', NULL),
	('01a22792-f974-746c-b3c8-b0116afbd8fa', 'b', 'action', '01a22792-f974-746c-b3c8-b0116afbd8fa/b/action/0', NULL),
	('01a22793-046c-7982-9d21-079078920d80', 'b', 'action', '01a22793-046c-7982-9d21-079078920d80/b/action/0', NULL),
	('01a22792-f847-756d-8d75-686a2fe502d1', 'b', 'action', '01a22792-f847-756d-8d75-686a2fe502d1/b/action/0', NULL),
	('01a22793-029a-7851-b0e9-306889eaadfd', 'p', 'action', '01a22793-029a-7851-b0e9-306889eaadfd/p/action/0', NULL),
	('01a22792-f0b9-71fc-83d9-2663ad74b993', 'a', 'compensation', '01a22792-f0b9-71fc-83d9-2663ad74b993/a/compensation/0', '01a22792-f0b9-71fc-83d9-2663ad74b993/a/action/0'),
	('01a22792-fd3b-756c-bff1-37a0ca32cae1', 'a', 'compensation', '01a22792-fd3b-756c-bff1-37a0ca32cae1/a/compensation/0', '01a22792-fd3b-756c-bff1-37a0ca32cae1/a/action/0'),
	('01a22792-f8b2-79a1-8080-8bbf4b039b9b', 'a', 'compensation', '01a22792-f8b2-79a1-8080-8bbf4b039b9b/a/compensation/0', '01a22792-f8b2-79a1-8080-8bbf4b039b9b/a/action/0'),
	('01a22792-ff72-7e3b-8a39-33cfc093cbb5', 'a', 'compensation', '01a22792-ff72-7e3b-8a39-33cfc093cbb5/a/compensation/0', '01a22792-ff72-7e3b-8a39-33cfc093cbb5/a/action/0'),
	('01a22793-07f3-7e6b-b0f5-2b089261ec21', 'b', 'action', '01a22793-07f3-7e6b-b0f5-2b089261ec21/b/action/0', NULL),
	('01a22792-f21c-7847-8e49-615aa89599d7', 'b', 'action', '01a22792-f21c-7847-8e49-615aa89599d7/b/action/1', NULL),
	('01a22792-fef7-7bcd-a2ff-8458c1a3f58a', 'a', 'compensation', '01a22792-fef7-7bcd-a2ff-8458c1a3f58a/a/compensation/1', '01a22792-fef7-7bcd-a2ff-8458c1a3f58a/a/action/0'),
	('01a22793-0528-7bec-868b-cf26bc3b4360', 'x', 'action', '01a22793-0528-7bec-868b-cf26bc3b4360/x/action/0', NULL),
	('01a22793-0528-7bec-868b-cf26bc3b4360', 'y', 'action', '01a22793-0528-7bec-868b-cf26bc3b4360/y/action/0', NULL),
	('01a22793-05cc-7b32-b46f-9d12b17d80b0', 'x', 'action', '01a22793-05cc-7b32-b46f-9d12b17d80b0/x/action/0', NULL),
	('01a22793-05cc-7b32-b46f-9d12b17d80b0', 'y', 'action', '01a22793-05cc-7b32-b46f-9d12b17d80b0/y/action/0', NULL),
	('01a22793-0664-73b2-8c72-319f9d731bc3', 'x', 'action', '01a22793-0664-73b2-8c72-319f9d731bc3/x/action/0', NULL),
	('01a22793-0664-73b2-8c72-319f9d731bc3', 'y', 'action', '01a22793-0664-73b2-8c72-319f9d731bc3/y/action/0', NULL);
SELECT pg_catalog.setval('amends.definition_id_seq', 169, true);
SELECT pg_catalog.setval('amends.fleet_signal_n_seq', 1, true);
SELECT pg_catalog.setval('amends.inbox_n_seq', 1, true);
SELECT pg_catalog.setval('amends.knock_n_seq', 2, true);
SELECT pg_catalog.setval('amends.lane_id_seq', 26, true);
SELECT pg_catalog.setval('amends.node_id_seq', 13, true);
SELECT pg_catalog.setval('amends.outbox_n_seq', 1, true);
SELECT pg_catalog.setval('amends.ready_n_seq', 80, true);
SELECT pg_catalog.setval('amends.rerun_n_seq', 2, true);
SELECT pg_catalog.setval('amends.waiting_n_seq', 2, true);
SELECT pg_catalog.setval('ledger.call_n_seq', 117, true);
ALTER TABLE ONLY amends.access_token
    ADD CONSTRAINT access_token_pkey PRIMARY KEY (id);
ALTER TABLE ONLY amends.census
    ADD CONSTRAINT census_pkey PRIMARY KEY (definition, status);
ALTER TABLE ONLY amends.current_definition
    ADD CONSTRAINT current_definition_pkey PRIMARY KEY (name);
ALTER TABLE ONLY amends.definition
    ADD CONSTRAINT definition_digest_key UNIQUE (digest);
ALTER TABLE ONLY amends.definition
    ADD CONSTRAINT definition_pkey PRIMARY KEY (id);
ALTER TABLE ONLY amends.eviction
    ADD CONSTRAINT eviction_pkey PRIMARY KEY (id);
ALTER TABLE ONLY amends.fleet_signal
    ADD CONSTRAINT fleet_signal_pkey PRIMARY KEY (n);
ALTER TABLE ONLY amends.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (lane, n);
ALTER TABLE ONLY amends.journal
    ADD CONSTRAINT journal_pkey PRIMARY KEY (id, seq);
ALTER TABLE ONLY amends.journal_20261123
    ADD CONSTRAINT journal_20261123_pkey PRIMARY KEY (id, seq);
ALTER TABLE ONLY amends.journal_20261130
    ADD CONSTRAINT journal_20261130_pkey PRIMARY KEY (id, seq);
ALTER TABLE ONLY amends.journal_20261207
    ADD CONSTRAINT journal_20261207_pkey PRIMARY KEY (id, seq);
ALTER TABLE ONLY amends.journal_20261214
    ADD CONSTRAINT journal_20261214_pkey PRIMARY KEY (id, seq);
ALTER TABLE ONLY amends.journal_20261221
    ADD CONSTRAINT journal_20261221_pkey PRIMARY KEY (id, seq);
ALTER TABLE ONLY amends.journal_default
    ADD CONSTRAINT journal_default_pkey PRIMARY KEY (id, seq);
ALTER TABLE ONLY amends.knock
    ADD CONSTRAINT knock_pkey PRIMARY KEY (n);
ALTER TABLE ONLY amends.lane
    ADD CONSTRAINT lane_pkey PRIMARY KEY (id);
ALTER TABLE ONLY amends.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (version);
ALTER TABLE ONLY amends.node
    ADD CONSTRAINT node_pkey PRIMARY KEY (id);
ALTER TABLE ONLY amends.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (n);
ALTER TABLE ONLY amends.ready
    ADD CONSTRAINT ready_pkey PRIMARY KEY (definition, n);
ALTER TABLE ONLY amends.rerun
    ADD CONSTRAINT rerun_pkey PRIMARY KEY (n);
ALTER TABLE ONLY amends.saga_done
    ADD CONSTRAINT saga_done_pkey PRIMARY KEY (id, ended_at);
ALTER TABLE ONLY amends.saga_done_20261129
    ADD CONSTRAINT saga_done_20261129_pkey PRIMARY KEY (id, ended_at);
ALTER TABLE ONLY amends.saga_done_20261130
    ADD CONSTRAINT saga_done_20261130_pkey PRIMARY KEY (id, ended_at);
ALTER TABLE ONLY amends.saga_done_20261201
    ADD CONSTRAINT saga_done_20261201_pkey PRIMARY KEY (id, ended_at);
ALTER TABLE ONLY amends.saga_done_20261202
    ADD CONSTRAINT saga_done_20261202_pkey PRIMARY KEY (id, ended_at);
ALTER TABLE ONLY amends.saga_done_20261203
    ADD CONSTRAINT saga_done_20261203_pkey PRIMARY KEY (id, ended_at);
ALTER TABLE ONLY amends.saga_done_20261204
    ADD CONSTRAINT saga_done_20261204_pkey PRIMARY KEY (id, ended_at);
ALTER TABLE ONLY amends.saga_done_20261205
    ADD CONSTRAINT saga_done_20261205_pkey PRIMARY KEY (id, ended_at);
ALTER TABLE ONLY amends.saga_done_20261206
    ADD CONSTRAINT saga_done_20261206_pkey PRIMARY KEY (id, ended_at);
ALTER TABLE ONLY amends.saga_done_default
    ADD CONSTRAINT saga_done_default_pkey PRIMARY KEY (id, ended_at);
ALTER TABLE ONLY amends.saga
    ADD CONSTRAINT saga_pkey PRIMARY KEY (id);
ALTER TABLE ONLY amends.signal
    ADD CONSTRAINT signal_pkey PRIMARY KEY (id, n);
ALTER TABLE ONLY amends.start_key
    ADD CONSTRAINT start_key_pkey PRIMARY KEY (name, key);
ALTER TABLE ONLY amends.timer
    ADD CONSTRAINT timer_pkey PRIMARY KEY (id);
ALTER TABLE ONLY amends.turn
    ADD CONSTRAINT turn_pkey PRIMARY KEY (name, key);
ALTER TABLE ONLY amends.unreadable
    ADD CONSTRAINT unreadable_pkey PRIMARY KEY (id);
ALTER TABLE ONLY amends.waiting
    ADD CONSTRAINT waiting_pkey PRIMARY KEY (name, key, n);
CREATE UNIQUE INDEX fleet_signal_drained ON amends.fleet_signal USING btree (node) WHERE ((verb = 'drain_node'::text) AND (lifted_by IS NULL));
CREATE UNIQUE INDEX fleet_signal_paused ON amends.fleet_signal USING btree (definition) WHERE ((verb = 'pause_definition'::text) AND (lifted_by IS NULL));
CREATE INDEX knock_asked ON amends.knock USING btree (n) WHERE (id IS NOT NULL);
CREATE INDEX outbox_due ON amends.outbox USING btree (due_at, n);
CREATE INDEX outbox_id ON amends.outbox USING btree (id);
CREATE INDEX outbox_node ON amends.outbox USING btree (node) WHERE (node IS NOT NULL);
CREATE INDEX passage_minute ON amends.passage USING btree (minute);
CREATE UNIQUE INDEX rerun_once ON amends.rerun USING btree (id) WHERE (fate IS DISTINCT FROM 'refused'::text);
CREATE INDEX rerun_open ON amends.rerun USING btree (due_at) WHERE (fate IS NULL);
CREATE INDEX rerun_rerun ON amends.rerun USING btree (rerun);
CREATE INDEX saga_attention ON amends.saga USING btree (id) WHERE (attention IS NOT NULL);
CREATE INDEX saga_halted ON amends.saga USING btree (status, id) WHERE (status = ANY (ARRAY['paused'::text, 'stuck'::text]));
CREATE INDEX saga_lane ON amends.saga USING btree (lane) WHERE (lane IS NOT NULL);
CREATE INDEX start_key_at ON amends.start_key USING brin (at);
CREATE INDEX start_key_id ON amends.start_key USING btree (id);
CREATE INDEX timer_fire_at ON amends.timer USING btree (fire_at);
CREATE INDEX turn_holder ON amends.turn USING btree (holder);
CREATE UNIQUE INDEX waiting_id ON amends.waiting USING btree (id);
ALTER INDEX amends.journal_pkey ATTACH PARTITION amends.journal_20261123_pkey;
ALTER INDEX amends.journal_pkey ATTACH PARTITION amends.journal_20261130_pkey;
ALTER INDEX amends.journal_pkey ATTACH PARTITION amends.journal_20261207_pkey;
ALTER INDEX amends.journal_pkey ATTACH PARTITION amends.journal_20261214_pkey;
ALTER INDEX amends.journal_pkey ATTACH PARTITION amends.journal_20261221_pkey;
ALTER INDEX amends.journal_pkey ATTACH PARTITION amends.journal_default_pkey;
ALTER INDEX amends.saga_done_pkey ATTACH PARTITION amends.saga_done_20261129_pkey;
ALTER INDEX amends.saga_done_pkey ATTACH PARTITION amends.saga_done_20261130_pkey;
ALTER INDEX amends.saga_done_pkey ATTACH PARTITION amends.saga_done_20261201_pkey;
ALTER INDEX amends.saga_done_pkey ATTACH PARTITION amends.saga_done_20261202_pkey;
ALTER INDEX amends.saga_done_pkey ATTACH PARTITION amends.saga_done_20261203_pkey;
ALTER INDEX amends.saga_done_pkey ATTACH PARTITION amends.saga_done_20261204_pkey;
ALTER INDEX amends.saga_done_pkey ATTACH PARTITION amends.saga_done_20261205_pkey;
ALTER INDEX amends.saga_done_pkey ATTACH PARTITION amends.saga_done_20261206_pkey;
ALTER INDEX amends.saga_done_pkey ATTACH PARTITION amends.saga_done_default_pkey;
