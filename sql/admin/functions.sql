-- What operators and drivers may ask for. Each function asks and returns the number of the signal within its saga; the
-- runtime decides, and amends.signal_status says what became of it. Who asked (session_user, application name, address,
-- time, reason) is recorded by the database and kept in the timeline.
--
-- AM001 no such saga. AM002 it has ended. AM003 no such definition. AM004 the key was used with another input.
-- AM005 bad argument.

-- Asks, once it is sure that a reason is given where one is needed.
create or replace function amends.ask(saga uuid, verb text, argument json, reasoned boolean) returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    if ask.reasoned and btrim(ask.argument ->> 'reason') = '' then
        raise exception 'expected a reason to % saga %, found none', ask.verb, ask.saga
            using errcode = 'AM005', hint = 'It is kept in the journal: say why, for those who ask next week.';
    end if;
    return amends.request(ask.saga, json_build_object(ask.verb, ask.argument));
end
$$;

-- Turns a saga back: what it did is compensated.
create or replace function amends.cancel(saga uuid, reason text) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select amends.ask(cancel.saga, 'cancel', json_build_object('reason', coalesce(cancel.reason, '')), true)
$$;

-- Tries a step again now, with a fresh budget of attempts.
create or replace function amends.retry(saga uuid, step text, reason text default '') returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select amends.ask(retry.saga, 'retry',
        json_build_object('step', coalesce(retry.step, ''), 'reason', coalesce(retry.reason, '')), false)
$$;

-- Takes a step for done with this output, without calling it; a stuck compensation, for done by hand.
create or replace function amends.skip(saga uuid, step text, output json, reason text) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select amends.ask(skip.saga, 'skip',
        json_build_object('step', coalesce(skip.step, ''), 'output', coalesce(skip.output, 'null'),
                          'reason', coalesce(skip.reason, '')), true)
$$;

-- Says what became of a call in doubt: 'applied', with the output that the lost answer would have carried, or 'absent'.
create or replace function amends.resolve(saga uuid, step text, finding text, output json, reason text) returns bigint
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
    return amends.ask(resolve.saga, 'resolve',
        json_build_object('step', coalesce(resolve.step, ''), 'finding', v_finding,
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

-- Closes a saga by hand, as it is: what it did stays, and nobody will undo it.
create or replace function amends.abandon(saga uuid, reason text) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select amends.ask(abandon.saga, 'abandon', json_build_object('reason', coalesce(abandon.reason, '')), true)
$$;

-- Provides an event for which a step waits, or will; the payload is the step's output.
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

-- What became of a signal, of the last one unless a number is given: `waiting` until the saga has decided, then `applied`
-- or `refused`, with the reason and the legal verbs; `too_late` when the saga ended first. No row: no such signal.
create or replace function amends.signal_status(saga uuid, signal bigint default null)
returns table (signal bigint, verb text, fate text, answer text, asked_by text, asked_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select s.n,
           coalesce((select k from json_object_keys(case when json_typeof(r.request) = 'object' then r.request else '{}' end) k
                     limit 1), r.request #>> '{}'),
           coalesce(s.fate, case when g.id is null then 'too_late' else 'waiting' end), s.answer, s.by, s.at
    from amends.signal s
    cross join lateral (select amends.readable(s.request) as request) r
    left join amends.saga g on g.id = s.id
    where s.id = signal_status.saga
      and s.n = coalesce(signal_status.signal, (select max(l.n) from amends.signal l where l.id = signal_status.saga))
$$;
