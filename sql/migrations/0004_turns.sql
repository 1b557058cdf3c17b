-- Turns: sagas of definitions of one name whose inputs have equal concurrency keys run one at a time. A start waits before
-- its journal begins. Turns are given by `amends.give_turns`, which any node calls at any time, and by nobody else: a start
-- only knocks, so that it waits for no other transaction, and a batch that ends a saga does not know of turns at all.

-- Whose turn it is. The holder keeps it until it has ended; parked, paused or stuck it still does.
create table amends.turn (
    name    text not null,
    key     text not null,
    holder  uuid not null,
    primary key (name, key)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
create index turn_holder on amends.turn (holder);

-- Starts that wait for their turn, in order. Each has a row in `saga` (queued, no lane) and one in `timer` (infinity).
create table amends.waiting (
    name        text   not null,
    key         text   not null,
    n           bigint generated always as identity,
    id          uuid   not null,
    definition  int    not null,
    input       text   not null,
    primary key (name, key, n)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
create unique index waiting_id on amends.waiting (id);

-- What whoever gives the turns has to look at: without an id a start has come, with one something was asked of a start
-- that waits.
create table amends.knock (
    n     bigint generated always as identity primary key,
    name  text not null,
    key   text not null,
    id    uuid
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
create index knock_asked on amends.knock (n) where id is not null;

-- The concurrency key of an input, as text: the value at `path`, whatever its type. Null, and so no limit, when there is
-- none or it is null. Equal values are equal whatever their white space or order of fields, and 1.0 is 1; what is JSON but
-- what jsonb cannot hold is compared as it was written. AM005: the input cannot be read that far, or the key is too long.
create function amends.concurrency_key(input json, path text[]) returns text language plpgsql immutable as $$
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

-- Puts a start in the queue for its turn.
create function amends.queue(name text, key text, id uuid, definition int, input text) returns void
language sql volatile as $$
    insert into amends.timer (id, fire_at) values (queue.id, 'infinity');
    insert into amends.waiting (name, key, id, definition, input)
    values (queue.name, queue.key, queue.id, queue.definition, queue.input);
    insert into amends.knock (name, key) values (queue.name, queue.key);
$$;

-- Gives turns: looks at up to `knocks` starts that have come, and at the turns of the sagas `ended`. Whose holder has ended,
-- or was never given, goes to the start that has waited longest, which is made ready. Returns how many knocks were
-- answered and how many turns were given.
-- Locks: knocks (skip locked), turns in order (whoever else gives one of them is waited for), the first that waits (skip
-- locked). Each statement below sees what was committed before it, in particular after the lock of the turn was got: so
-- a start that came in between is either seen here, or its knock finds the turn as it is then.
create function amends.give_turns(knocks bigint, ended uuid[], out answered bigint, out given bigint)
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

-- Nothing is for everybody; roles are granted what they need.
revoke all on all functions in schema amends from public;
