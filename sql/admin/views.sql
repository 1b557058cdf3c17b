-- The views for people. They are the supported surface: columns are only added, at the end, so that a view is
-- replaced in place and what depends on it stays. If a query names one saga, or lists something rare, each view is
-- fast whatever the size of the tables. So is amends.sagas in order of its id, newest first.

-- Sagas that have not ended. Those in the queue of starts have no row of their own yet. For the views and the runtime.
create or replace view amends.live_saga as
select g.id, g.definition, g.status, g.lane, g.signals, g.started_at, g.attention
from amends.saga g
union all
select s.id, s.definition, 'queued'::text, null::bigint, 0::bigint, s.at, null::text
from amends.start_queue s;

-- Reads the body of a journal row as JSON. What Postgres cannot hold in texts (a NUL, half a surrogate) becomes
-- U+FFFD.
create or replace function amends.readable(body text) returns json language plpgsql immutable
set search_path = pg_catalog, pg_temp as $$
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

-- Returns the verb of a signal's request.
create or replace function amends.verb_of(request text) returns text language sql immutable
set search_path = pg_catalog, pg_temp as $$
    select coalesce((select k from json_object_keys(case when json_typeof(r.request) = 'object' then r.request
        else '{}' end) k
                     limit 1), r.request #>> '{}')
    from (select amends.readable(verb_of.request) as request) r
$$;

-- Returns the steps of a saga in the order of their indexes: those of the definition, then those that a driver
-- appended.
create or replace function amends.step_names(saga uuid, draft json) returns text[] language sql stable
set search_path = pg_catalog, pg_temp as $$
    select array(select s.step ->> 'name' from json_array_elements(draft -> 'steps') with ordinality s (step, n)
        order by s.n)
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

-- The journal of one saga in words.
create or replace function amends.timeline_of(saga uuid)
returns table (
    seq int, at timestamptz, kind text, step text, what text, error text, signal bigint, asked_by text,
    application_name text, address text, asked_at timestamptz, reason text, node text
)
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    with named as materialized (
        select amends.step_names(timeline_of.saga, d.draft::json) as names
        from (
            select g.definition from amends.live_saga g where g.id = timeline_of.saga
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
                    when json_typeof(w.e -> 'request') = 'object'
                        then (select k from json_object_keys(w.e -> 'request') k)
               end as verb,
               case w.e ->> 'direction' when 'compensation' then 'compensation ' else '' end as way,
               case when json_typeof(w.e -> 'request') = 'object'
                    then (select v.value from json_each(w.e -> 'request') v) end as asked
        from written w
    )
    select v.seq, v.at, v.kind,
           coalesce(n.names[(v.e ->> 'step')::int + 1], v.asked ->> 'step'),
           case case v.kind when 'begun' then 'started' else v.kind end
               when 'started' then coalesce(
                   'started, goes on from step ' || (v.e #>> '{rerun,from}') || ' of saga ' || (v.e #>> '{rerun,of}'),
                   'started')
               when 'condition_decided' then case
                   when v.e ->> 'decision' = 'run' then '`when` is true'
                   when v.e ->> 'decision' = 'skip' then 'skipped: `when` is false'
                   else '`when` failed, before any call' end
               when 'attempt_ended' then v.way || 'attempt ' || (v.e ->> 'attempt') || case
                   when v.e -> 'outcome' -> 'succeeded' is not null then ' succeeded'
                   when v.e #>> '{outcome,failed,retryable}' = 'true'
                       then ' failed without effect of its own, may be repeated'
                   when v.e -> 'outcome' -> 'failed' is not null then ' failed without effect of its own'
                   when v.e -> 'outcome' -> 'pending' is not null then ' was accepted, effect pending'
                   when v.e -> 'outcome' -> 'errored' is not null then ' was answered with an error, effect unknown'
                   else ' ended, effect unknown' end
               when 'probe_answered' then v.way || 'probe ' || (v.e ->> 'probe') || case
                   when v.e -> 'answer' -> 'applied' is not null then ' found the effect in place'
                   when v.e ->> 'answer' = 'absent' then ' found no effect'
                   else ' could not tell' end
               when 'approval_shown' then coalesce(
                   'asks: ' || (v.e #>> '{showing,shown,message}') || ' '
                   || coalesce(v.e #>> '{showing,shown,arguments}', 'null')
                   || ' (digest ' || (v.e #>> '{showing,shown,digest}') || ')',
                   'what is to be approved cannot be shown')
               when 'timer_fired' then 'woken by a timer'
               when 'owner_lost' then 'taken over from a node that died'
               when 'withdrawn' then 'what had not begun was taken back; nothing was sent'
               when 'requested' then v.verb || coalesce(
                   ' as ' || case when json_typeof(v.asked -> 'finding') = 'string' then v.asked ->> 'finding'
                                  when v.asked -> 'finding' is not null then 'applied' end,
                   ' event ' || (v.asked ->> 'event'),
                   ' step ' || (v.asked #>> '{step,name}'),
                   '')
               when 'request_refused' then (v.e ->> 'verb') || ' was refused: ' || (v.e ->> 'reason')
               else v.kind
           end
               -- The rule that decided, and the HTTP status that it read.
               || coalesce(' (by ' || (v.e #>> '{decided_by,rule}')
                           || coalesce(', HTTP ' || (v.e #>> '{decided_by,status}'), '') || ')', ''),
           coalesce(
               (v.e #>> '{outcome,failed,error,code}') || ': ' || (v.e #>> '{outcome,failed,error,message}'),
               (v.e #>> '{outcome,errored,error,code}') || ': ' || (v.e #>> '{outcome,errored,error,message}'),
               (v.e #>> '{outcome,unknown,error,code}') || ': ' || (v.e #>> '{outcome,unknown,error,message}'),
               (v.e #>> '{answer,inconclusive,error,code}') || ': ' || (v.e #>> '{answer,inconclusive,error,message}'),
               (v.e #>> '{decision,failed,code}') || ': ' || (v.e #>> '{decision,failed,message}'),
               (v.e #>> '{showing,failed,code}') || ': ' || (v.e #>> '{showing,failed,message}')),
           s.n, coalesce(s.by, v.e #>> '{rerun,by}', v.e ->> 'by'),
           coalesce(s.application_name, 'claims ' || (v.e ->> 'claims')), host(s.addr), s.at,
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

-- The state of each step of one saga, by its journal. A step in doubt or stuck is as the core tells; for all others
-- the last row about the step counts. `amends show` folds the journal with the core itself.
create or replace function amends.steps_of(saga uuid)
returns table (
    "position" int, step text, kind text, state text, attempts int, compensation_attempts int, probes int,
    last_outcome text, error text, since timestamptz, output json
)
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    with live as materialized (
        select g.status, g.attention, d.draft::json as draft, amends.step_names(steps_of.saga, d.draft::json) as names
        from (
            select g.definition, g.status, g.attention from amends.live_saga g where g.id = steps_of.saga
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
                       when h.e ->> 'decision' = 'skip' then 'skipped' when h.e ->> 'decision' = 'run' then 'ran'
                           else 'failed'
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
                   (h.e #>> '{outcome,errored,error,code}') || ': ' || (h.e #>> '{outcome,errored,error,message}'),
                   (h.e #>> '{outcome,unknown,error,code}') || ': ' || (h.e #>> '{outcome,unknown,error,message}'),
                   (h.e #>> '{answer,inconclusive,error,code}') || ': '
                       || (h.e #>> '{answer,inconclusive,error,message}'),
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
        where h.kind in ('started', 'begun')
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
                    else coalesce(a.request #> '{finding,applied,output}', a.request -> 'output',
                        a.request -> 'payload') end
        from asked a
        join plan p on a.verb in ('retry', 'skip', 'resolve', 'approve', 'deny') and a.request ->> 'step' = p.name
                    or a.verb = 'provide' and a.request ->> 'event' in (
                        coalesce(p.step #>> '{action,await,event}', p.name), p.name || '.compensation')
        cross join lateral (
            -- A decision by hand has the direction of the step's last call.
            select coalesce(a.request ->> 'event' = p.name || '.compensation', (
                select c.e ->> 'direction' = 'compensation' from happened c
                where c.seq < a.seq and c.kind in ('attempt_ended', 'probe_answered')
                  and (c.e ->> 'step')::bigint = p.position
                order by c.seq desc limit 1), false) as undoing
        ) b
    ), summed as materialized (
        select p.position, p.name, p.step, l.status, t.one as attention, w.attempts, w.undone_attempts, w.probes,
            w.output,
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
                   when s.outcome in ('failed', 'failed_retryable', 'absent', 'errored', 'unknown')
                        and not s.undoing and s.status in ('compensating', 'compensated') then 'failed'
                   when s.outcome = 'failed' then 'failed'
                   when s.outcome in ('failed_retryable', 'absent', 'retried') then 'backing_off'
                   when s.outcome = 'pending' then 'awaiting'
                   when s.outcome in ('errored', 'unknown') then 'in_doubt'
               end as state
        from summed s
    ), settled as materialized (
        select j.name, j.step ->> 'kind' as kind,
               j.state is not null and j.state in ('done', 'skipped')
               -- A step that only sleeps leaves no row of its own; a later step that has begun shows that it is over.
               or exists (select from judged k where k.outcome is not null
                   and (k.step -> 'needs')::jsonb ? j.name) as settled
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

-- Sagas, live and ended. To page: `where saga < LAST order by saga desc limit 50`.
create or replace view amends.sagas as
select s.id as saga, d.name as definition, s.status, s.started_at, s.ended_at,
       -- When a parked saga wakes by itself; infinity: only a signal wakes it.
       t.fire_at as wakes_at, n.name as node, s.signals, d.digest, s.result, s.attention is not null as needs_attention,
       amends.bucket(s.id) as bucket, s.erased_at
from (
    select g.id, g.definition, g.status, g.lane, g.signals, g.started_at, null::timestamptz as ended_at,
           null::text as result, g.attention, null::timestamptz as erased_at
    from amends.live_saga g
    union all
    select g.id, g.definition, g.status, null, g.signals, g.started_at, g.ended_at, g.result, null, g.erased_at
    from amends.saga_done g
) s
join amends.definition d on d.id = s.definition
left join amends.lane l on l.id = s.lane
left join amends.node n on n.id = l.node
left join amends.timer t on t.id = s.id and s.ended_at is null;

-- The steps of one saga: `where saga = ID`.
create or replace view amends.steps as
select s.id as saga, f.position, f.step, f.kind, f.state, f.attempts, f.compensation_attempts, f.probes, f.last_outcome,
       f.error, f.since, f.output
from (select g.id from amends.live_saga g union all select g.id from amends.saga_done g) s
cross join lateral amends.steps_of(s.id) f;

-- What happened to one saga, with the asker and the reason of each request: `where saga = ID`.
create or replace view amends.timeline as
select s.id as saga, f.seq, f.at, f.kind, f.step, f.what, f.error, f.signal, f.asked_by, f.application_name, f.address,
       f.asked_at, f.reason, f.node
from (select g.id from amends.live_saga g union all select g.id from amends.saga_done g) s
cross join lateral amends.timeline_of(s.id) f;

-- Steps that need a person: why, since when, what is known, and which verbs are legal. A saga is listed without a
-- step in three cases: its journal cannot be read; each process that took it up died; an older version lost its input
-- before its first row.
create or replace view amends.stuck as
select g.id as saga, d.name as definition, a.step, a.direction, a.stuck as reason,
       case a.stuck
           when 'in_doubt' then 'nobody knows whether it took effect, and no declared means is left to find out'
           when 'failed' then 'it failed for good where the saga cannot turn back'
           when 'process_died' then 'the process died too often during it'
       end as meaning,
       to_timestamp(a.since / 1000.0) as since, a.in_doubt, a.error_code, a.error, a.attempts, a.probes,
       -- The key under which the participant saw the last attempt.
       a.key, array(select json_array_elements_text(a.legal)) as legal, g.started_at
from amends.saga g
join amends.definition d on d.id = g.definition
cross join lateral json_to_recordset(g.attention::json) as a (
    step text, direction text, in_doubt boolean, stuck text, since bigint, attempts int, probes int, error_code text,
    error text, key text, legal json)
where g.attention is not null and a.stuck is not null
union all
select u.id, d.name, null, null, u.reason,
       case u.reason
           when 'process_died' then 'each process died that took it up: find out why in the logs of the nodes'
           when 'lost'
               then 'an older version lost its input before its first row: nothing was called; give it the input'
           else 'no node can read its journal: run one of a newer version, or restore the row' end,
       u.at, false, null, u.found, null, null, null,
       case u.reason when 'process_died' then array['resume'] when 'lost' then array['cancel', 'restore_input']
           else '{}' end,
       u.started_at
from (
    select u.id, g.definition, u.at, u.reason as found, g.started_at,
           case when g.deaths > 0 then 'process_died'
                when exists (select from amends.journal j where j.id = u.id) then 'unreadable'
                else 'lost' end as reason
    from amends.unreadable u
    join amends.saga g on g.id = u.id
) u
join amends.definition d on d.id = u.definition;

-- Calls whose effect is unknown; `stuck` tells that the runtime has no means left to find out.
create or replace view amends.in_doubt as
select g.id as saga, d.name as definition, a.step, a.direction, a.stuck is not null as stuck,
       to_timestamp(a.since / 1000.0) as since, a.error_code, a.error, a.attempts, a.probes, a.key,
       array(select json_array_elements_text(a.legal)) as legal, g.status, g.started_at
from amends.saga g
join amends.definition d on d.id = g.definition
cross join lateral json_to_recordset(g.attention::json) as a (
    step text, direction text, in_doubt boolean, stuck text, since bigint, attempts int, probes int, error_code text,
    error text, key text, legal json)
where g.attention is not null and a.in_doubt;

-- Parked sagas and when they wake; infinity: only a signal wakes it. In order of time: `order by fires_at limit 50`.
create or replace view amends.timers as
select t.id as saga, d.name as definition, g.status, t.fire_at as fires_at, t.fire_at < amends.now() as overdue
from amends.timer t
join amends.saga g on g.id = t.id
join amends.definition d on d.id = g.definition;

-- What was asked of a saga, and what became of it: `where saga = ID`; number 0 is the rerun that created the saga.
-- And what was told to definitions and nodes: `where saga is null`; a signal to a node is `waiting` until the node
-- has seen it.
create or replace view amends.signals as
select s.id as saga, s.n as signal, s.at as asked_at, s.by as asked_by, s.application_name, host(s.addr) as address,
       s.request, coalesce(s.fate, case when g.id is null then 'too_late' else 'waiting' end) as fate, s.answer
from amends.signal s
left join amends.saga g on g.id = s.id
union all
select r.rerun, 0, r.at, r.by, r.application_name, host(r.addr),
       json_build_object('rerun_from', json_build_object('saga', r.id, 'step', r.step, 'reason', r.reason))::text,
       coalesce(r.fate, 'waiting'), r.answer
from amends.rerun r
union all
select null, f.n, f.at, f.by, f.application_name, host(f.addr),
       json_build_object(f.verb, json_strip_nulls(
           json_build_object('definition', f.definition, 'node', f.node, 'reason', f.reason)))::text,
       case when n.draining <> (f.verb = 'drain_node')
                 and f.n = (select max(l.n) from amends.fleet_signal l where l.node = f.node) then 'waiting'
            else 'applied' end, null
from amends.fleet_signal f
left join amends.node n on n.id = f.node and n.gone_at is null and n.disowned_at is null;

-- Requests to go on from a step in a new saga. `fate` is waiting, applied, or refused, with the reason in `answer`.
create or replace view amends.reruns as
select r.id as saga, r.step, r.rerun, coalesce(r.fate, 'waiting') as fate, r.answer, r.at as asked_at, r.by as asked_by,
       r.application_name, host(r.addr) as address, r.reason
from amends.rerun r;

-- What amends_observer may read of steps and of what happened: no output, no error, no reason, no key and no name of
-- a person. The functions run with the rights of their owner, because those of the full views would tell all that.
create or replace function amends.progress_of(saga uuid)
returns table (
    "position" int, step text, kind text, state text, attempts int, compensation_attempts int, probes int,
    last_outcome text, since timestamptz
)
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select f.position, f.step, f.kind, f.state, f.attempts, f.compensation_attempts, f.probes, f.last_outcome, f.since
    from amends.steps_of(progress_of.saga) f
    order by f.position
$$;

create or replace function amends.history_of(saga uuid)
returns table (seq int, at timestamptz, kind text, step text, signal bigint, node text)
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select f.seq, f.at, f.kind, f.step, f.signal, f.node from amends.timeline_of(history_of.saga) f order by f.seq
$$;

-- The steps of one saga, without what participants and people said: `where saga = ID`.
create or replace view amends.progress as
select s.id as saga, f.position, f.step, f.kind, f.state, f.attempts, f.compensation_attempts, f.probes, f.last_outcome,
       f.since
from (select g.id from amends.live_saga g union all select g.id from amends.saga_done g) s
cross join lateral amends.progress_of(s.id) f;

-- What happened to one saga, without what participants and people said: `where saga = ID`.
create or replace view amends.history as
select s.id as saga, f.seq, f.at, f.kind, f.step, f.signal, f.node
from (select g.id from amends.live_saga g union all select g.id from amends.saga_done g) s
cross join lateral amends.history_of(s.id) f;
