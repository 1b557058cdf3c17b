-- How starts share the nodes: priority and fairness, which say in which order nodes take the starts of a definition,
-- and quotas. Definitions that ask for none have no row, no index entry and no statement for it; their starts are taken
-- in the order in which they came.

-- What decides the priority of a start: {high}, {normal} or {low}, or input and a path into it. Null: nothing, so
-- normal.
alter table amends.definition add column priority text[];
-- What decides the fairness key of a start: {principal}, or input and a path into it. Null: nothing.
alter table amends.definition add column fairness text[];
-- The quota of each fairness key: live sagas, and bytes of their inputs. Null: no limit.
alter table amends.definition add column quota_live bigint;
alter table amends.definition add column quota_bytes bigint;

-- The fairness key of a start. Null: its definition has none, or this row is a wake.
alter table amends.ready add column fairness text;
create index ready_fairness on amends.ready (definition, fairness, n) where fairness is not null;

-- What a start that waits for its turn needs when it is made ready.
alter table amends.waiting add column priority smallint;
alter table amends.waiting add column fairness text;

-- The virtual time of each definition and priority: the tag of the last start that a node took. Nodes raise it soon
-- after a claim.
create table amends.virtual_time (
    definition  int      not null,
    priority    smallint not null,
    tag         bigint   not null,
    primary key (definition, priority)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);

-- What counts against a quota: sagas of definitions of this name that have not ended, by fairness key. Sagas that have
-- ended are removed when a key is at its quota, and now and then.
create table amends.quota_use (
    name      text   not null,
    fairness  text   not null,
    id        uuid   not null,
    bytes     bigint not null,
    primary key (name, fairness, id) include (bytes)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- The priority of a start: 0 high, 1 normal, 2 low. What is neither of these words is normal.
create function amends.priority_of(input json, priority text[]) returns smallint language plpgsql immutable as $$
declare
    v_word text := priority[1];
begin
    if cardinality(priority) > 1 then
        begin
            v_word := input #>> priority[2:];
        exception when data_exception or program_limit_exceeded or statement_too_complex then
            return 1;
        end;
    end if;
    return case v_word when 'high' then 0 when 'low' then 2 else 1 end;
end
$$;

-- A value of an input as a key. Equal values have equal keys whatever their white space or order of fields, and 1.0 is
-- 1; what is JSON but what jsonb cannot hold is compared as it was written. Null: there is none, or it is null.
create function amends.key_of(value json) returns text language plpgsql immutable as $$
begin
    return case json_typeof(value)
        when 'null' then null
        when 'number' then trim_scale((value #>> '{}')::numeric)::text
        else value::jsonb::text
    end;
exception when data_exception or program_limit_exceeded or statement_too_complex then
    return value::text;
end
$$;

-- The concurrency key of an input: the value at `path`. Null, and so no limit, when there is none or it is null.
-- AM005: the input cannot be read that far, or the key is too long.
create or replace function amends.concurrency_key(input json, path text[]) returns text
language plpgsql immutable as $$
declare
    v_value json;
    v_key text;
begin
    begin
        v_value := input #> path;
    exception when data_exception or program_limit_exceeded or statement_too_complex then
        raise exception 'expected an input that can be read down to its concurrency key, found %', sqlerrm
            using errcode = 'AM005';
    end;
    v_key := amends.key_of(v_value);
    if octet_length(v_key) > 512 then
        raise exception 'expected a concurrency key of at most 512 bytes, found %', octet_length(v_key)
            using errcode = 'AM005';
    end if;
    return v_key;
end
$$;

-- The fairness key of a start by `principal`. A long key is replaced by its digest. All starts without a value share the
-- empty key. Null: the definition has no fairness key.
create function amends.fairness_key(input json, fairness text[], principal text) returns text
language plpgsql immutable as $$
declare
    v_key text;
begin
    if fairness is null then
        return null;
    elsif cardinality(fairness) = 1 then
        v_key := principal;
    else
        begin
            v_key := amends.key_of(input #> fairness[2:]);
        exception when data_exception or program_limit_exceeded or statement_too_complex then
            return '';
        end;
    end if;
    if octet_length(v_key) > 512 then
        return encode(sha256(convert_to(v_key, 'UTF8')), 'hex');
    end if;
    return coalesce(v_key, '');
end
$$;

-- The number of a start in the queue of its definition. Nodes take low numbers first. Bits 61 and 62 are the priority:
-- 1 high, 2 normal, 3 low. Wakes, and starts of definitions with neither priority nor fairness, have 0 there: a saga
-- under way comes before one that has not begun. Without a fairness key, the other bits are the order of arrival. With
-- one, bit 60 is set, 36 bits are the tag, and 24 bits tell starts with the same tag apart.
--
-- Tags are those of start-time fair queuing (Goyal, Vin and Cheng, 1996) with the same cost for each saga: one more
-- than the last tag that waits under this fairness key, and at least one more than the virtual time. So while a key has
-- a long queue, nodes take one start of it for each start of any other key. The last tag is read and not locked, so
-- starts that commit at the same time may get the same tag.
create function amends.queue_number(definition int, priority smallint, fairness text) returns bigint
language plpgsql volatile as $$
declare
    v_floor bigint := (queue_number.priority + 1)::bigint << 61;
    v_arrival bigint := nextval('amends.ready_n_seq');
    v_tag bigint;
    v_last bigint;
begin
    if queue_number.fairness is null then
        return v_floor | v_arrival;
    end if;
    v_floor := v_floor | (1::bigint << 60);
    select t.tag into v_tag from amends.virtual_time t
    where t.definition = queue_number.definition and t.priority = queue_number.priority;
    v_tag := coalesce(v_tag, 0);
    select r.n into v_last from amends.ready r
    where r.definition = queue_number.definition and r.fairness = queue_number.fairness
      and r.n > (v_floor | (v_tag << 24)) and r.n <= (v_floor | ((1::bigint << 60) - 1))
    order by r.n desc
    limit 1;
    if found then
        v_tag := (v_last - v_floor) >> 24;
    end if;
    v_tag := least(v_tag + 1, (1::bigint << 36) - 1);
    return v_floor | (v_tag << 24) | (v_arrival & ((1::bigint << 24) - 1));
end
$$;

-- Makes a start ready, at its place in the queue. Null as priority: in the order in which it came.
create function amends.make_ready(definition int, priority smallint, fairness text, id uuid, input text) returns void
language sql volatile as $$
    insert into amends.ready (definition, n, id, input, fairness) overriding system value
    values (make_ready.definition,
            case when make_ready.priority is null then nextval('amends.ready_n_seq')
                 else amends.queue_number(make_ready.definition, make_ready.priority, make_ready.fairness) end,
            make_ready.id, make_ready.input, make_ready.fairness);
$$;

-- Counts a start against the quota of its fairness key. Starts that commit at the same time do not see each other, so
-- together they may exceed the quota. AM011: the key is at its quota.
create function amends.use_quota(
    name text, fairness text, id uuid, bytes bigint, live_max bigint, bytes_max bigint
) returns void
language plpgsql volatile as $$
declare
    v_live bigint;
    v_bytes bigint;
begin
    for v_look in 1 .. 2 loop
        select count(*), coalesce(sum(u.bytes), 0) into v_live, v_bytes
        from amends.quota_use u
        where u.name = use_quota.name and u.fairness = use_quota.fairness;
        exit when v_live < coalesce(use_quota.live_max, v_live + 1)
              and v_bytes + use_quota.bytes <= coalesce(use_quota.bytes_max, v_bytes + use_quota.bytes);
        if v_look = 1 then
            -- Some of them may have ended.
            delete from amends.quota_use u
            where u.name = use_quota.name and u.fairness = use_quota.fairness
              and (select g.id from amends.saga g where g.id = u.id) is null;
        elsif v_live >= use_quota.live_max then
            raise exception 'expected at most % live sagas of % for the fairness key %, found %', use_quota.live_max,
                use_quota.name, quote_literal(use_quota.fairness), v_live
                using errcode = 'AM011', hint = 'Start it again when one of them has ended.';
        else
            raise exception
                'expected at most % bytes of input in live sagas of % for the fairness key %, found % and % more',
                use_quota.bytes_max, use_quota.name, quote_literal(use_quota.fairness), v_bytes, use_quota.bytes
                using errcode = 'AM011', hint = 'Start it again when one of them has ended.';
        end if;
    end loop;
    insert into amends.quota_use (name, fairness, id, bytes)
    values (use_quota.name, use_quota.fairness, use_quota.id, use_quota.bytes);
end
$$;

drop function amends.queue(text, text, uuid, int, text);

-- Puts a start in the queue for its turn.
create function amends.queue(
    name text, key text, definition int, priority smallint, fairness text, id uuid, input text
) returns void
language sql volatile as $$
    insert into amends.timer (id, fire_at) values (queue.id, 'infinity');
    insert into amends.waiting (name, key, id, definition, priority, fairness, input)
    values (queue.name, queue.key, queue.id, queue.definition, queue.priority, queue.fairness, queue.input);
    insert into amends.knock (name, key) values (queue.name, queue.key);
$$;

-- Grants turns: looks at up to `knocks` starts that have come, and at the turns of the sagas `ended`. A turn whose
-- holder has ended, or that had no holder, goes to the start that has waited longest, which is made ready. Returns how
-- many knocks were answered and how many turns were granted.
-- Locks: knocks (skip locked), turns in order (it waits for other nodes that grant one of them), the first start that
-- waits (skip locked). Each statement below sees what was committed before it, in particular after it got the lock of
-- the turn. So a start that came in between is either seen here, or its knock finds the turn as it is then.
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
    select (select count(*) from heard), array_agg(d.name order by d.name, d.key),
           array_agg(d.key order by d.name, d.key)
    into answered, v_names, v_keys
    from due d;
    for i in 1 .. coalesce(cardinality(v_names), 0) loop
        select t.holder into v_holder from amends.turn t where t.name = v_names[i] and t.key = v_keys[i] for update;
        v_held := found;
        continue when v_held and exists (select from amends.saga g where g.id = v_holder);
        select w.n, w.id, w.definition, w.priority, w.fairness, w.input into v_next
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
            -- Another node has just granted it.
            continue when not found;
        end if;
        delete from amends.waiting w where w.name = v_names[i] and w.key = v_keys[i] and w.n = v_next.n;
        perform amends.make_ready(v_next.definition, v_next.priority, v_next.fairness, v_next.id, v_next.input);
        given := given + 1;
    end loop;
    -- The node that calls this takes what it has granted, unless it is full or cannot run it.
    if given > 0 and exists (select from amends.listener) then
        perform pg_notify('amends_wake', '');
    end if;
end
$$;

-- The new one has another argument.
drop function amends.start_as(uuid, text, json, text, text);

-- No function is for everybody; roles are granted what they need.
revoke all on all functions in schema amends from public;
