-- What operators and drivers may ask for. Each function asks, and returns the number of the signal within its saga or
-- of the signal to the fleet. The runtime decides; amends.signal_status tells what became of the signal. The database
-- records the asker (session_user, application name, address, time, reason) and keeps it in the timeline.
--
-- A signal has the time of the call, however long the caller's transaction takes.
--
-- AM001 no such saga. AM002 it has ended. AM003 no such definition. AM004 the key was used with another input. AM005
-- bad argument. AM006 no such node in service. AM007 no node has the saga. AM008 it was rerun already. AM009 it is so
-- already. AM014 it has not ended, so it cannot be erased, or it was erased.

-- Fails with AM005 if there is no reason.
create or replace function amends.need_reason(asked text, reason text) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    if coalesce(btrim(need_reason.reason), '') = '' then
        raise exception 'expected a reason to %, found none', need_reason.asked
            using errcode = 'AM005', hint = 'It is kept: say why, for a reader next week.';
    end if;
end
$$;

-- Sends a request to a saga. If `reasoned`, it fails with AM005 without a reason.
create or replace function amends.ask(saga uuid, verb text, argument json, reasoned boolean) returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    if ask.reasoned and btrim(ask.argument ->> 'reason') = '' then
        raise exception 'expected a reason to % saga %, found none', ask.verb, ask.saga
            using errcode = 'AM005', hint = 'It is kept in the journal: say why, for a reader next week.';
    end if;
    return amends.request(ask.saga, json_build_object(ask.verb, ask.argument));
end
$$;

-- Cancels a saga and compensates what it did.
create or replace function amends.cancel(saga uuid, reason text) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select amends.ask(cancel.saga, 'cancel', json_build_object('reason', coalesce(cancel.reason, '')), true)
$$;

-- Tries a step again now, with a fresh budget of attempts. `new_key` takes a new idempotency key, for a participant
-- that repeats its refusal under the old one; it is refused while the call is in doubt.
drop function if exists amends.retry(uuid, text, text);
create or replace function amends.retry(saga uuid, step text, reason text default '', new_key boolean default false)
returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select amends.ask(retry.saga, 'retry',
        json_build_object('step', coalesce(retry.step, ''), 'new_key', coalesce(retry.new_key, false),
                          'reason', coalesce(retry.reason, '')), false)
$$;

-- Treats a step as done with this output, without calling it. A stuck compensation counts as done by hand.
create or replace function amends.skip(saga uuid, step text, output json, reason text) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select amends.ask(skip.saga, 'skip',
        json_build_object('step', coalesce(skip.step, ''), 'output', coalesce(skip.output, 'null'),
                          'reason', coalesce(skip.reason, '')), true)
$$;

-- Records what became of a call in doubt: 'applied', with the output that the lost answer would have had, or
-- 'absent'. `attempts`: the number in amends.stuck when the operator looked the call up; refused if there was another
-- attempt since.
drop function if exists amends.resolve(uuid, text, text, json, text);
create or replace function amends.resolve(
    saga uuid, step text, finding text, output json, reason text, attempts int default null
) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
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
    if resolve.attempts < 0 then
        raise exception 'expected a number of attempts, found %', resolve.attempts using errcode = 'AM005';
    end if;
    return amends.ask(resolve.saga, 'resolve',
        json_build_object('step', coalesce(resolve.step, ''), 'finding', v_finding, 'attempts', resolve.attempts,
                          'reason', coalesce(resolve.reason, '')), true);
end
$$;

-- Lets a saga begin nothing new until it is resumed.
create or replace function amends.pause(saga uuid, reason text) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select amends.ask(pause.saga, 'pause', json_build_object('reason', coalesce(pause.reason, '')), false)
$$;

-- Lets a paused saga go on.
create or replace function amends.resume(saga uuid, reason text default '') returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select amends.ask(resume.saga, 'resume', json_build_object('reason', coalesce(resume.reason, '')), false)
$$;

-- Closes a saga by hand, as it is: what it did stays, and amends will not undo it.
create or replace function amends.abandon(saga uuid, reason text) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select amends.ask(abandon.saga, 'abandon', json_build_object('reason', coalesce(abandon.reason, '')), true)
$$;

-- Approves what a step asks for; the timeline shows it. Refused unless the digest is that of what the step shows now.
create or replace function amends.approve(saga uuid, step text, digest text, reason text default '') returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select amends.ask(approve.saga, 'approve',
        json_build_object('step', coalesce(approve.step, ''), 'digest', coalesce(approve.digest, ''),
                          'reason', coalesce(approve.reason, '')), false)
$$;

-- Denies what a step asks for: the saga is compensated.
create or replace function amends.deny(saga uuid, step text, reason text default '') returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select amends.ask(deny.saga, 'deny',
        json_build_object('step', coalesce(deny.step, ''), 'reason', coalesce(deny.reason, '')), false)
$$;

-- Provides an event for which a step waits or will wait; the payload becomes the step's output.
create or replace function amends.signal(saga uuid, event text, payload json default 'null') returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    if coalesce(signal.event, '') = '' then
        raise exception 'expected the name of an event, found none' using errcode = 'AM005';
    end if;
    return amends.request(signal.saga, json_build_object('provide', json_build_object(
        'event', signal.event, 'payload', coalesce(signal.payload, 'null'))));
end
$$;

-- Tells what became of a signal, by default of the last one: `waiting` until the saga has decided, then `applied`, or
-- `refused` with the reason and the legal verbs; `too_late` if the saga ended first. For a signal to a definition or
-- a node, the saga is null. No row: no such signal.
create or replace function amends.signal_status(saga uuid, signal bigint default null)
returns table (signal bigint, verb text, fate text, answer text, asked_by text, asked_at timestamptz)
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
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

-- Records what an operator tells all nodes of a definition, or one node; returns the number of the signal. Null: it
-- holds already.
create or replace function amends.tell_fleet(verb text, definition text, node bigint, reason text) returns bigint
language sql volatile set search_path = pg_catalog, pg_temp as $$
    insert into amends.fleet_signal (verb, definition, node, at, by, application_name, addr, reason)
    values (tell_fleet.verb, tell_fleet.definition, tell_fleet.node, amends.clock(), session_user,
            coalesce(current_setting('application_name', true), ''), inet_client_addr(),
                coalesce(tell_fleet.reason, ''))
    on conflict do nothing
    returning n
$$;

-- Keeps nodes from taking up sagas of this definition, new or parked; running ones go on until they wait or end.
-- Nodes see it within seconds. Returns the number of the signal. AM003: no such definition. AM009: it is paused
-- already.
create or replace function amends.pause_definition(definition text, reason text) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
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
        raise exception 'expected a definition that is not paused, found % paused already',
            quote_literal(pause_definition.definition)
            using errcode = 'AM009', hint = 'Legal now: resume_definition. Who paused it: amends.definition_pauses.';
    end if;
    return v_signal;
end
$$;

-- Lets nodes take up sagas of this definition again. Returns the number of the signal. AM009: it is not paused.
create or replace function amends.resume_definition(definition text, reason text default '') returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_signal bigint;
begin
    if resume_definition.definition is not null then
        v_signal := amends.tell_fleet('resume_definition', resume_definition.definition, null,
            resume_definition.reason);
    end if;
    update amends.fleet_signal p set lifted_by = v_signal
    where p.definition = resume_definition.definition and p.verb = 'pause_definition' and p.lifted_by is null;
    if not found then
        raise exception 'expected a definition that is paused, found %',
            coalesce(quote_literal(resume_definition.definition), 'null')
            using errcode = 'AM009',
                hint = 'Legal now: pause_definition. Those paused: amends.definition_pauses, where held.';
    end if;
    return v_signal;
end
$$;

-- Tells a node to take no more sagas and to hand over those that it has, as in an orderly stop; amends.nodes shows
-- `draining`, then `drained`. The node learns it with its next beat. Returns the number of the signal. AM006: no such
-- node in service. AM009: it was told already.
create or replace function amends.drain_node(node bigint, reason text) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_signal bigint;
begin
    perform amends.need_reason('drain node ' || coalesce(drain_node.node::text, 'null'), drain_node.reason);
    if not exists (select from amends.node n where n.id = drain_node.node and n.gone_at is null
        and n.disowned_at is null) then
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

-- Lets a node take sagas again. Returns the number of the signal. AM009: it was not told to drain.
create or replace function amends.undrain_node(node bigint, reason text default '') returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
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

-- Takes a saga from its node: its calls are given up, their outcomes are unknown, and another node goes on. The node
-- lets go of the saga by itself. A node that has not done so within seconds counts as dead, with all its sagas.
-- Returns the number of the signal. AM007: no node has the saga.
create or replace function amends.evict(saga uuid, reason text) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_signal bigint;
    v_lane bigint;
    v_status text;
begin
    select g.lane, g.status into v_lane, v_status from amends.live_saga g where g.id = evict.saga;
    if found and v_lane is null then
        raise exception 'expected a saga on a node, found % which is %', evict.saga, v_status
            using errcode = 'AM007',
                  hint = 'No node has it: any node may take it when it wakes. Legal: cancel, pause, abandon, and the '
                         'verbs in amends.stuck.';
    end if;
    v_signal := amends.ask(evict.saga, 'evict',
        json_build_object('lane', v_lane, 'reason', coalesce(evict.reason, '')), true);
    insert into amends.eviction (id, lane, at) values (evict.saga, v_lane, amends.clock())
    on conflict on constraint eviction_pkey do update set lane = excluded.lane, at = excluded.at
        where eviction.lane <> excluded.lane;
    return v_signal;
end
$$;

-- Gives a saga its input if an older version lost it before the saga's first row; amends.stuck lists such a saga with
-- the reason `lost`. The saga then begins under its own id, with the signals that it has got. If its input is not
-- known, cancel the saga and give it any input: it ends before it calls anything. Returns the number of the signal.
-- AM001: no such saga. AM004: its key was used with another input. AM009: it has its input.
create or replace function amends.restore_input(saga uuid, input json, reason text) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_saga amends.saga;
begin
    perform amends.need_reason('restore the input of saga ' || coalesce(restore_input.saga::text, 'null'),
        restore_input.reason);
    if restore_input.input is null or octet_length(restore_input.input::text) > 1048576 then
        raise exception 'expected an input of at most 1048576 bytes, found %',
            coalesce(octet_length(restore_input.input::text)::text, 'null') using errcode = 'AM005';
    end if;
    if exists (select from amends.start_queue s where s.id = restore_input.saga) then
        raise exception 'expected a saga without its input, found % which is queued', restore_input.saga
            using errcode = 'AM009', hint = 'Sagas without input: amends.stuck, where the reason is lost.';
    end if;
    select g.* into v_saga from amends.saga g where g.id = restore_input.saga for update;
    perform amends.refuse_old_snapshot();
    if v_saga.id is null then
        raise exception 'expected the id of a saga that has not ended, found %',
            coalesce(restore_input.saga::text, 'null')
            using errcode = 'AM001';
    end if;
    if exists (select from amends.journal j where j.id = v_saga.id)
       or exists (select from amends.waiting w where w.id = v_saga.id)
       or exists (select from amends.ready r
                  where r.definition = v_saga.definition and r.id = v_saga.id and r.input is not null) then
        raise exception 'expected a saga without its input, found % which is %', v_saga.id, v_saga.status
            using errcode = 'AM009', hint = 'Sagas without input: amends.stuck, where the reason is lost.';
    end if;
    if exists (select from amends.start_key k
               where k.id = v_saga.id and k.digest <> amends.input_digest(restore_input.input::text))
       and not exists (select from amends.signal s
                       where s.id = v_saga.id and s.fate is null and amends.verb_of(s.request) = 'cancel') then
        raise exception 'expected the input that saga % was started with, found another', v_saga.id
            using errcode = 'AM004', hint = 'If it is not known: amends.cancel the saga, then give it any input.';
    end if;
    insert into amends.ready (definition, id, input) values (v_saga.definition, v_saga.id, restore_input.input::text);
    perform pg_notify('amends_wake', '') where exists (select from amends.listener);
    return amends.tell_fleet('restore_input', (select d.name from amends.definition d where d.id = v_saga.definition),
        null,
        'saga ' || v_saga.id || ': ' || restore_input.reason);
end
$$;

-- Asks for a new saga of the same definition and input that goes on from a step of an ended saga. The new saga takes
-- over the outcomes of the earlier steps. If it must undo them, it uses the keys that the participants know. Refused
-- if an effect would be done twice. Returns the id of the new saga, in the same bucket. Its signal 0 is the request:
-- amends.signal_status for it, or amends.reruns, tells what became of it. The same request again returns the same id.
-- AM008: the saga goes on from another step already.
create or replace function amends.rerun_from(saga uuid, step text, reason text) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_definition int;
    v_erased_at timestamptz;
    v_first amends.rerun;
    v_rerun uuid := amends.uuid7(amends.bucket(rerun_from.saga));
begin
    perform amends.need_reason('rerun saga ' || coalesce(rerun_from.saga::text, 'null'), rerun_from.reason);
    select s.definition, s.erased_at into v_definition, v_erased_at
    from (
        select g.definition, null::timestamptz as erased_at from amends.live_saga g where g.id = rerun_from.saga
        union all
        select d.definition, d.erased_at from amends.saga_done d
        where d.id = rerun_from.saga and d.ended_at >= amends.uuid_time(rerun_from.saga) - interval '1 day'
    ) s;
    perform amends.refuse_old_snapshot();
    if v_definition is null then
        raise exception 'expected the id of a saga, found %', coalesce(rerun_from.saga::text, 'null')
            using errcode = 'AM001';
    end if;
    if v_erased_at is not null then
        raise exception 'expected a saga with its payloads, found % which was erased', rerun_from.saga
            using errcode = 'AM014', hint = 'Start another saga.';
    end if;
    insert into amends.rerun (id, step, rerun, definition, at, by, application_name, addr, reason, due_at)
    values (rerun_from.saga, coalesce(rerun_from.step, ''), v_rerun, v_definition, amends.clock(), session_user,
            coalesce(current_setting('application_name', true), ''), inet_client_addr(), rerun_from.reason,
                amends.now())
    on conflict (id) where fate is distinct from 'refused' do nothing;
    if found then
        perform pg_notify('amends_wake', '') where exists (select from amends.listener);
        return v_rerun;
    end if;
    select r.* into strict v_first from amends.rerun r where r.id = rerun_from.saga
        and r.fate is distinct from 'refused';
    if v_first.step = rerun_from.step then
        return v_first.rerun;
    end if;
    raise exception 'expected a saga without a rerun, found %; saga % reruns it',
        rerun_from.saga, v_first.rerun
        using errcode = 'AM008', hint = format('Rerun saga %s once it has ended.', v_first.rerun);
end
$$;

-- Asks the same of many sagas of a definition, oldest first: 'cancel', 'abandon', 'pause', 'resume', or 'retry' of
-- the stuck step (`new_key` as in amends.retry). Only sagas with this status that were started before this time,
-- `most` at a time. The wakes of parked sagas are spread over `spread`. Returns how many were asked; call it again
-- until that is 0. Each saga gets a signal of its own, and decides for itself.
drop function if exists amends.bulk(text, text, text, text, timestamptz, int, interval);
create or replace function amends.bulk(
    verb text, definition text, reason text, status text default 'stuck', started_before timestamptz default 'infinity',
    most int default 100, spread interval default '0', new_key boolean default false
) returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_saga record;
    v_step text;
    v_asked int := 0;
    v_argument json;
begin
    if bulk.verb is null or bulk.verb not in ('cancel', 'abandon', 'pause', 'resume', 'retry') then
        raise exception 'expected cancel, abandon, pause, resume or retry, found %',
            coalesce(quote_literal(bulk.verb), 'null')
            using errcode = 'AM005';
    end if;
    if bulk.new_key and bulk.verb <> 'retry' then
        raise exception 'expected new_key with retry only, found it with %', bulk.verb using errcode = 'AM005';
    end if;
    if bulk.status is null or bulk.status not in ('queued', 'running', 'compensating', 'paused', 'stuck') then
        raise exception 'expected the status of a live saga, found %', coalesce(quote_literal(bulk.status), 'null')
            using errcode = 'AM005';
    end if;
    if bulk.most is null or bulk.most not between 1 and 1000 then
        raise exception 'expected 1 to 1000 sagas at a time, found %', coalesce(bulk.most::text, 'null')
            using errcode = 'AM005';
    end if;
    if not exists (select from amends.definition d where d.name = bulk.definition) then
        raise exception 'expected the name of a registered definition, found %',
            coalesce(quote_literal(bulk.definition), 'null') using errcode = 'AM003';
    end if;
    if bulk.status = 'queued' then
        perform amends.unqueue(q.id)
        from (
            select s.id
            from amends.start_queue s
            where s.definition = any (array (select d.id from amends.definition d where d.name = bulk.definition))
              and s.id < coalesce(amends.uuid_floor(nullif(bulk.started_before, 'infinity')),
                                  'ffffffff-ffff-ffff-ffff-ffffffffffff')
            order by s.id
            limit bulk.most
            for update skip locked
        ) q;
    end if;
    for v_saga in
        select g.id, g.attention
        from amends.saga g
        where g.status = bulk.status
          and g.definition = any (array (select d.id from amends.definition d where d.name = bulk.definition))
          and g.id < coalesce(amends.uuid_floor(nullif(bulk.started_before, 'infinity')),
              'ffffffff-ffff-ffff-ffff-ffffffffffff')
          -- A saga with an unanswered signal is not asked again. The exception is a saga that was set aside because
          -- processes died of it: it answers only after it was told to resume.
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
            v_argument := json_build_object('step', v_step, 'new_key', coalesce(bulk.new_key, false),
                                            'reason', coalesce(bulk.reason, ''));
        end if;
        perform amends.ask(v_saga.id, bulk.verb, v_argument, bulk.verb in ('cancel', 'abandon'));
        v_asked := v_asked + 1;
        if bulk.spread > interval '0' then
            -- A parked saga reads its signals when it wakes: the wake comes later.
            with woken as (
                delete from amends.ready r using amends.saga g
                where g.id = v_saga.id and g.lane is null and r.definition = g.definition and r.id = g.id
                    and r.input is null
                returning r.id
            )
            insert into amends.timer (id, fire_at)
            select distinct w.id, amends.clock() + random() * bulk.spread from woken w
            on conflict (id) do update set fire_at = least(timer.fire_at, excluded.fire_at);
        end if;
    end loop;
    return v_asked;
end
$$;
