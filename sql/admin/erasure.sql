-- Forgetting: the payloads of ended sagas are replaced, and their states and times stay. Only fields that are named
-- here survive in a journal, so a field without a rule is erased. What stays is a journal that folds to the
-- same state.

-- Keeps the fields `keep` of a JSON object, and replaces those in `replaced` if they are there; all others go.
create or replace function amends.keep_fields(source json, keep text[], replaced json default '{}') returns json
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    if json_typeof(keep_fields.source) is distinct from 'object' then
        return '{}';
    end if;
    return (
        select coalesce(json_object_agg(e.key,
                   case when e.key = any (keep_fields.keep) then e.value else keep_fields.replaced -> e.key end), '{}')
        from json_each(keep_fields.source) e
        where e.key = any (keep_fields.keep) or keep_fields.replaced -> e.key is not null);
end
$$;

-- An error without its message. A code is a word for programs and stays if it looks like one.
create or replace function amends.erased_error(error json) returns json
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    v_code text := erased_error.error ->> 'code';
begin
    return json_build_object('code', case when v_code ~ '^[a-z][a-z0-9_]{0,39}$' then v_code else 'erased' end,
        'message', 'erased');
exception when data_exception then
    return '{"code":"erased","message":"erased"}';
end
$$;

-- An outcome, an answer of a probe, a decision, a question or a finding, without what it carries.
create or replace function amends.erased_result(result json) returns json
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    v_word text;
    v_value json;
begin
    if json_typeof(erased_result.result) is distinct from 'object' then
        return erased_result.result;
    end if;
    select v.key, v.value into v_word, v_value from json_each(erased_result.result) v limit 1;
    if v_value -> 'error' is not null then
        return json_build_object(v_word, amends.keep_fields(v_value,
            '{retryable,retry_after_ms,answers_key,renew_key}',
            json_build_object('error', amends.erased_error(v_value -> 'error'))));
    elsif v_word = 'failed' then
        return json_build_object(v_word, amends.erased_error(v_value));
    end if;
    return json_build_object(v_word, amends.keep_fields(v_value, '{retry_after_ms}',
        '{"output":null,"arguments":null,"message":"erased","digest":"erased"}'));
end
$$;

-- The target of a call: which participant and what of it, without arguments.
create or replace function amends.erased_target(target json) returns json
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    return (
        select json_object_agg(v.key, amends.keep_fields(v.value, '{name,participant,tool,method}',
                                                         '{"path":"/erased"}'))
        from json_each(erased_target.target) v);
end
$$;

-- A call of a step that a driver appended: how it is repeated and what it means, without what it sends and compares.
create or replace function amends.erased_call(call json) returns json
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    v_probe json := erased_call.call -> 'probe';
begin
    if v_probe is not null then
        v_probe := amends.keep_fields(v_probe, '{retry,timeout_ms}', json_build_object(
            'target', amends.erased_target(v_probe -> 'target'), 'applied', 'true', 'absent', 'false'));
    end if;
    return amends.keep_fields(erased_call.call,
        '{effect,key_lifetime_ms,retry,timeout_ms,deadline_ms,settle_ms,errors}',
        json_build_object('target', amends.erased_target(erased_call.call -> 'target'), 'probe', v_probe));
end
$$;

-- A step that a driver appended.
create or replace function amends.erased_step(step json) returns json
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    return amends.keep_fields(erased_step.step, '{name,needs,kind,safe_when_absent,irreversible}', json_build_object(
        'when', 'true',
        'compensation', amends.erased_call(erased_step.step -> 'compensation'),
        'action', (
            select json_object_agg(v.key, case v.key
                when 'call' then amends.erased_call(v.value)
                when 'approval' then amends.keep_fields(v.value, '{approver,deadline_ms}',
                                                        '{"message":"erased","arguments":null}')
                else v.value end)
            from json_each(erased_step.step -> 'action') v)));
end
$$;

-- A request: its verb and what it is about, without reason, output and payload.
create or replace function amends.erased_request(request json) returns json
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    v_verb text;
    v_value json;
begin
    if json_typeof(erased_request.request) is distinct from 'object' then
        return erased_request.request;
    end if;
    select v.key, v.value into v_verb, v_value from json_each(erased_request.request) v limit 1;
    if v_verb is null then
        return '{}';
    elsif v_verb = 'append' then
        return json_build_object(v_verb, json_build_object('step', amends.erased_step(v_value -> 'step')));
    end if;
    return json_build_object(v_verb, amends.keep_fields(v_value, '{step,new_key,attempts,lane,event}',
        json_build_object('reason', 'erased', 'output', null::json, 'payload', null::json, 'digest', 'erased',
                          'finding', amends.erased_result(v_value -> 'finding'))));
end
$$;

-- The first row of a rerun: which saga it goes on from, and which outcomes it took over, without the outputs.
create or replace function amends.erased_rerun(rerun json) returns json
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    return amends.keep_fields(erased_rerun.rerun, '{of,from,by}', json_build_object('reason', 'erased', 'outcomes', (
        select coalesce(json_agg(json_build_object('step', o.one -> 'step', 'effect', case
            when json_typeof(o.one -> 'effect') = 'object' then amends.keep_fields(o.one -> 'effect',
                '{by_hand,saga,generation,law}', '{"output":null}') end) order by o.place), '[]')
        from json_array_elements(erased_rerun.rerun -> 'outcomes') with ordinality o (one, place))));
end
$$;

-- The body of a journal row without its payload. One that cannot be read loses all.
create or replace function amends.erased_body(body text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    v_kind text;
    v_event json;
    v_replaced json := '{}';
begin
    -- Postgres looks into no JSON with a NUL or with half a surrogate.
    select v.key, v.value into v_kind, v_event
    from json_each(
        regexp_replace(erased_body.body, '\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\\ufffd', 'g')::json) v
    limit 1;
    if v_kind in ('started', 'begun') then
        v_replaced := '{"input":null}';
        if v_event -> 'rerun' is not null then
            v_replaced := json_build_object('input', null::json, 'rerun', amends.erased_rerun(v_event -> 'rerun'));
        end if;
    elsif v_kind = 'condition_decided' then
        v_replaced := json_build_object('decision', amends.erased_result(v_event -> 'decision'));
    elsif v_kind = 'approval_shown' then
        v_replaced := json_build_object('showing', amends.erased_result(v_event -> 'showing'));
    elsif v_kind = 'attempt_ended' then
        v_replaced := json_build_object('outcome', amends.erased_result(v_event -> 'outcome'));
    elsif v_kind = 'probe_answered' then
        v_replaced := json_build_object('answer', amends.erased_result(v_event -> 'answer'));
    elsif v_kind = 'requested' then
        v_replaced := json_build_object('request', amends.erased_request(v_event -> 'request'));
    elsif v_kind = 'request_refused' then
        v_replaced := '{"reason":"erased"}';
    elsif (v_kind in ('timer_fired', 'owner_lost', 'withdrawn')) is not true then
        return '{}';
    end if;
    return json_build_object(v_kind, amends.keep_fields(v_event,
        '{law,at,waited_ms,traceparent,step,direction,attempt,probe,decided_by,jitter,convicted,steps,asked_at,signal,
          by,claims,by_starter,verb}', v_replaced))::text;
exception when others then
    return '{}';
end
$$;

-- The link of a journal row without the means to guess its content: the salt is replaced by the digest of the content
-- (store/chain.rs). A row without a link gets the digest, if a later row has a link that covers it. `ending`: the
-- result of the saga, if the row ended it. Stable, so that it sees the rows as they were before the erasure.
create or replace function amends.erased_link(saga uuid, seq int, link bytea, body text, ending text) returns bytea
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    v_salt bytea := substring(erased_link.link from 34);
begin
    if octet_length(erased_link.link) <> 49 then
        return erased_link.link;
    elsif erased_link.link is null then
        select substring(j.link from 34) into v_salt
        from amends.journal j
        where j.id = erased_link.saga and j.seq > erased_link.seq and octet_length(j.link) = 49
        order by j.seq
        limit 1;
    end if;
    -- Null if there is no chain.
    return coalesce(substring(erased_link.link for 33), '') || sha256(v_salt || sha256(
        convert_to(erased_link.body, 'UTF8')
        || coalesce('\x00'::bytea || convert_to(erased_link.ending, 'UTF8'), '')));
end
$$;

-- Erases the payloads of one ended saga in the journal, its result, signals, events of the outbox, reruns and start
-- key. Returns how many rows. A start under an erased key starts another saga.
create or replace function amends.erase_saga(saga uuid) returns bigint language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
    v_rows bigint := 0;
    v_here bigint;
    v_last int := (select max(j.seq) from amends.journal j where j.id = erase_saga.saga);
    v_result text := (select d.result from amends.saga_done d where d.id = erase_saga.saga limit 1);
begin
    update amends.journal j
    set body = amends.erased_body(j.body),
        link = amends.erased_link(j.id, j.seq, j.link, j.body, case when j.seq = v_last then v_result end)
    where j.id = erase_saga.saga;
    get diagnostics v_here = row_count;
    v_rows := v_rows + v_here;
    update amends.signal s
    set request = amends.erased_request(amends.readable(s.request))::text,
        answer = case when s.answer is not null then 'erased' end
    where s.id = erase_saga.saga;
    get diagnostics v_here = row_count;
    v_rows := v_rows + v_here;
    update amends.outbox o
    set body = amends.keep_fields(amends.readable(o.body), '{event,law,definition,status,step}',
                                  '{"reason":null}')::text,
        error = case when o.error is not null then 'erased' end
    where o.id = erase_saga.saga;
    get diagnostics v_here = row_count;
    v_rows := v_rows + v_here;
    -- The key is random, so that no start can take it first.
    update amends.start_key k set key = 'erased:' || gen_random_uuid(), owner = null, digest = ''
    where k.id = erase_saga.saga;
    get diagnostics v_here = row_count;
    v_rows := v_rows + v_here;
    update amends.rerun r
    set reason = 'erased', answer = case when r.answer is not null then 'erased' end
    where r.id = erase_saga.saga and r.fate is not null or r.rerun = erase_saga.saga;
    get diagnostics v_here = row_count;
    v_rows := v_rows + v_here;
    update amends.fleet_signal f set reason = 'erased'
    where f.verb = 'restore_input' and f.reason like 'saga ' || erase_saga.saga || ':%';
    update amends.saga_done d set result = null, erased_at = amends.now()
    where d.id = erase_saga.saga and d.erased_at is null;
    get diagnostics v_here = row_count;
    return v_rows + v_here;
end
$$;

-- Erases ended sagas in this order, until `rows_max` rows are reached (null: all). Returns how many sagas and rows.
create or replace function amends.erase_sagas(ids uuid[], rows_max bigint, out sagas int, out rows bigint)
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    sagas := 0;
    rows := 0;
    while sagas < cardinality(erase_sagas.ids) and rows < coalesce(erase_sagas.rows_max, rows + 1) loop
        sagas := sagas + 1;
        rows := rows + amends.erase_saga(erase_sagas.ids[sagas]);
    end loop;
end
$$;

-- Returns an ended saga and the sagas that go on from it: they took over its input and outputs. AM001: no such saga.
-- AM014: one of them has not ended.
create or replace function amends.erasable(saga uuid) returns uuid[] language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
    v_ids uuid[];
    v_live uuid;
begin
    v_ids := array(
        with recursive chain (id) as (
            select erasable.saga
            union
            select r.rerun from chain c join amends.rerun r on r.id = c.id and r.fate is distinct from 'refused'
        )
        select c.id from chain c limit 1000);
    select g.id into v_live from amends.live_saga g where g.id = any (v_ids) limit 1;
    if not found then
        select r.rerun into v_live from amends.rerun r where r.id = any (v_ids) and r.fate is null limit 1;
    end if;
    if v_live is not null then
        raise exception 'expected a saga that has ended, and whose reruns have ended, found % which has not', v_live
            using errcode = 'AM014', hint = 'Erase it again when it has ended. Legal now: cancel, abandon.';
    end if;
    if not exists (select from amends.saga_done d where d.id = erasable.saga) then
        raise exception 'expected the id of a saga, found %', erasable.saga using errcode = 'AM001';
    end if;
    return v_ids;
end
$$;

-- Erases the payloads of ended sagas: of one saga, of the saga that a start key began (of this definition, or of any;
-- an application's key, or one of `owner`: `mcp:NAME`, with `k:KEY`, for the key KEY of the caller NAME over MCP),
-- or of up to `most` sagas of a definition that ended before an instant, oldest first, until 10000 rows are reached.
-- States, times and who asked stay. The erasure is recorded, with the reason. Returns how many sagas were erased; how
-- many of the definition that were started before that instant have not ended, so they were left; and for a further
-- call, as `after`, until which end everything is erased. Call it again until `sagas` is 0. Backups, archives,
-- replicas of logs and what participants keep are not reached. AM001: no such saga or key. AM003: no such definition.
-- AM005: bad argument. AM014: the saga has not ended.
drop function if exists amends.erase(text, uuid, text, text, timestamptz, timestamptz, int);
create or replace function amends.erase(
    reason text, saga uuid default null, start_key text default null, definition text default null,
    before timestamptz default null, after timestamptz default '-infinity', most int default 100,
    owner text default null,
    out sagas int, out running bigint, out until timestamptz
)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_bitmapscan = on as $$
declare
    v_ids uuid[];
    v_ends timestamptz[];
    v_named int[] := array(select d.id from amends.definition d where d.name = erase.definition);
    v_saga uuid := erase.saga;
    v_rows bigint := 0;
begin
    perform amends.need_reason('erase', erase.reason);
    if octet_length(erase.reason) > 2000 then
        raise exception 'expected a reason of at most 2000 bytes, found %', octet_length(erase.reason)
            using errcode = 'AM005';
    end if;
    if num_nonnulls(erase.saga, erase.start_key, erase.before) <> 1
       or erase.before is not null and erase.definition is null
       or erase.definition is not null and erase.saga is not null
       or erase.owner is not null and erase.start_key is null then
        raise exception
            'expected one of: saga; start_key, with or without definition and owner; definition and before'
            using errcode = 'AM005';
    end if;
    if (erase.most between 1 and 1000) is not true then
        raise exception 'expected 1 to 1000 sagas at a time, found %', coalesce(erase.most::text, 'null')
            using errcode = 'AM005';
    end if;
    if erase.definition is not null and cardinality(v_named) = 0 then
        raise exception 'expected the name of a registered definition, found %', quote_literal(erase.definition)
            using errcode = 'AM003';
    end if;
    if erase.before is not null and erase.before > amends.now() then
        raise exception 'expected an instant that has passed, found %', erase.before using errcode = 'AM005';
    end if;
    running := 0;
    until := erase.before;
    if erase.before is null then
        v_ids := array(
            select k.id from amends.start_key k
            where k.key = coalesce(erase.owner || ':', '') || erase.start_key
              and amends.key_owner(k.owner, k.key) is not distinct from erase.owner
              and k.name = any (array(select distinct d.name from amends.definition d
                                      where erase.definition is null or d.name = erase.definition)));
        if erase.start_key is not null and cardinality(v_ids) = 0 then
            raise exception 'expected the start key of a saga that is kept, found none' using errcode = 'AM001';
        end if;
        v_saga := coalesce(v_saga, v_ids[1]);
        v_ids := array(
            select distinct u.one
            from unnest(case when erase.saga is null then v_ids else array[erase.saga] end) s (id)
            cross join lateral unnest(amends.erasable(s.id)) u (one));
        v_ids := array(select d.id from amends.saga_done d where d.id = any (v_ids) and d.erased_at is null);
    else
        select count(*) into running
        from amends.live_saga g
        where g.definition = any (v_named) and g.id < amends.uuid_floor(
            case when isfinite(erase.before) then erase.before else 'epoch' end);
        select coalesce(array_agg(p.id order by p.ended_at), '{}'), array_agg(p.ended_at order by p.ended_at)
        into v_ids, v_ends
        from (
            select d.id, d.ended_at
            from amends.saga_done d
            where d.definition = any (v_named) and d.ended_at < erase.before
              and d.ended_at >= coalesce(erase.after, '-infinity') and d.erased_at is null
              -- What goes on from it may still need what it took over.
              and not exists (
                  select from amends.rerun r
                  where r.id = d.id and (r.fate is null or r.fate = 'applied'
                                         and exists (select from amends.live_saga g where g.id = r.rerun)))
            order by d.ended_at
            limit erase.most
        ) p;
    end if;
    select e.sagas, e.rows into sagas, v_rows
    from amends.erase_sagas(v_ids, case when erase.before is not null then 10000 end) e;
    if sagas = 0 then
        return;
    elsif erase.before is not null and (sagas < cardinality(v_ids) or sagas = erase.most) then
        until := v_ends[sagas];
    end if;
    update amends.erasure e
    set sagas = e.sagas + erase.sagas, rows = e.rows + v_rows
    where e.n = (select max(l.n) from amends.erasure l where l.by = session_user)
      and erase.before is not null and e.definition = erase.definition and e.before = erase.before
      and e.reason = erase.reason and e.at > amends.now() - interval '1 day';
    if not found then
        insert into amends.erasure (at, by, application_name, addr, reason, saga, by_key, definition, before, sagas,
                                    rows)
        values (amends.clock(), session_user, coalesce(current_setting('application_name', true), ''),
                inet_client_addr(), erase.reason, v_saga, erase.start_key is not null, erase.definition, erase.before,
                erase.sagas, v_rows);
    end if;
end
$$;
