-- The barrier: for a participant with its own Postgres. Run this file once in the participant's database (a repeat is
-- harmless). Call one of its functions in the transaction that makes or undoes an effect. It owns the answer to "did
-- the call with this key take effect, and can it still?"; the effect itself is the participant's.
--
--   amends_barrier.action(key)         before the effect: `proceed`, or `applied` (a duplicate: answer as the first
--                                      time), or `barred` (it comes too late: refuse it and do nothing)
--   amends_barrier.compensation(key)   before the undoing, with the key of the ACTION: `proceed`, or `undone` (a
--                                      duplicate), or `absent` (the action never took effect, and now never will)
--   amends_barrier.probe(key)          `applied`, or `absent` (from now on it stays so: a late action is barred)
--
-- Each fails with SQLSTATE AM010 if the key is missing and may have been forgotten (amends_barrier.forget): the
-- answer is unknown. This is an error and no verdict, so that a participant that knows only the verdicts above cannot
-- take it for one of them. Answer the caller so that the outcome stays unknown: over HTTP with 500, never with 4xx,
-- never with a success.
--
-- All three insert the key's row or meet it, so calls for one key run one after the other. A call waits for the end
-- of another transaction that is open (set lock_timeout), so it never answers about a transaction that may still
-- commit. Use READ COMMITTED, the default. Stricter levels are right too, but fail with 40001 where this one waits. A
-- verdict holds once the participant's transaction commits: answer the caller after the commit.

create schema if not exists amends_barrier;

-- The horizon tells what was forgotten, as far as it matters: one row.
do $$
declare
    v_since     timestamptz;
    v_grantee   record;
begin
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('amends_barrier.horizon', 0));
    if pg_catalog.to_regclass('amends_barrier.horizon') is not null then
        return;
    end if;
    create table amends_barrier.horizon (
        the_only_row boolean primary key default true check (the_only_row),
        -- The latest start of a saga with a forgotten key, in milliseconds since 1970; null: there is none.
        started_ms   bigint,
        -- A key was forgotten that does not begin with the id of a saga.
        others       boolean not null default false
    );
    -- An older barrier forgot without a horizon, oldest keys first: it forgot no key that is younger than the oldest
    -- key that it still holds. If it holds no key, it may have forgotten all. A participant that never called forget
    -- may set `started_ms` to null and `others` to false.
    if pg_catalog.to_regclass('amends_barrier.action_key') is not null then
        execute 'select coalesce(min(a.at), clock_timestamp()) from amends_barrier.action_key a' into v_since;
        for v_grantee in
            select distinct case a.grantee when 0 then 'public' else a.grantee::regrole::text end as name
            from pg_catalog.pg_class c, lateral pg_catalog.aclexplode(c.relacl) a
            where c.oid = 'amends_barrier.action_key'::regclass
        loop
            execute 'grant select, update on amends_barrier.horizon to ' || v_grantee.name;
        end loop;
    end if;
    insert into amends_barrier.horizon (started_ms, others)
    values (floor(extract(epoch from v_since) * 1000), v_since is not null);
end
$$;

-- One row for each action. Keys begin with the saga's id, which is ordered by time, so inserts stay at the right
-- edge.
create table if not exists amends_barrier.action_key (
    key     text primary key,
    -- applied -> undone; or barred, which never took effect
    state   text        not null check (state in ('applied', 'undone', 'barred')),
    output  text,
    at      timestamptz not null default now()
);

-- Returns the start of the key's saga in milliseconds since 1970: a key begins with the saga's id, a UUIDv7, whatever
-- comes after it. Null for every other text.
create or replace function amends_barrier.started_ms(key text) returns bigint
language sql immutable parallel safe as $$
    select case when key ~* '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}([-/]|$)'
           then ('x' || lpad(left(key, 8) || substr(key, 10, 4), 16, '0'))::bit(64)::bigint end
$$;

-- Fails with AM010 if the missing key may have been forgotten: its saga began no later than a saga with a forgotten
-- key, or the key names no saga and such a key was forgotten. Call it after the key's row was inserted. `forget`
-- commits the horizon together with the deletion, so a deletion that let the row in comes with the horizon that tells
-- of it. At a stricter isolation level the snapshot may be older than this statement and miss the horizon: there the
-- horizon's row is locked, and 40001 tells that it has moved. Runs under the search_path of the functions below.
create or replace function amends_barrier.refuse_forgotten(key text) returns void language plpgsql volatile as $$
declare
    v_others    boolean;
    v_forgotten bigint;
    v_started   bigint;
begin
    if current_setting('transaction_isolation') = 'read committed' then
        select h.others, h.started_ms into strict v_others, v_forgotten from amends_barrier.horizon h;
    else
        select h.others, h.started_ms into strict v_others, v_forgotten from amends_barrier.horizon h for share;
    end if;
    if v_forgotten is null and not v_others then
        return;
    end if;
    v_started := amends_barrier.started_ms(refuse_forgotten.key);
    if v_started <= v_forgotten or (v_started is null and v_others) then
        raise exception 'unknown: the barrier does not hold the key %, and may have forgotten it',
            quote_literal(refuse_forgotten.key)
            using errcode = 'AM010', hint = 'Look the effect up in your records. Keep keys longer than any saga lives.';
    end if;
end
$$;

-- Lets the action with this key take effect once. `output` is the answer for a duplicate, if it is known by now (an
-- id that the caller made). If not, hand it in later with amends_barrier.answer, in the same transaction.
create or replace function amends_barrier.action(
    key text, output text default null, out verdict text, out known text
) language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    v_state text;
begin
    loop
        insert into amends_barrier.action_key (key, state, output) values (action.key, 'applied', action.output)
        on conflict on constraint action_key_pkey do nothing;
        if found then
            perform amends_barrier.refuse_forgotten(action.key);
            verdict := 'proceed';
            return;
        end if;
        -- A statement of its own, so that it sees the row for which the insert waited.
        select a.state, a.output into v_state, known from amends_barrier.action_key a where a.key = action.key;
        if found then
            verdict := case v_state when 'applied' then 'applied' else 'barred' end;
            known := case v_state when 'applied' then known end;
            return;
        end if;
        -- The key was forgotten between the two statements.
    end loop;
end
$$;

-- Stores the answer of the action with this key, in the action's own transaction.
create or replace function amends_barrier.answer(key text, output text) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    update amends_barrier.action_key a set output = answer.output where a.key = answer.key and a.state = 'applied';
    if not found then
        raise exception 'expected an action that proceeds in this transaction, found none with key %',
            quote_literal(answer.key) using errcode = 'AM006';
    end if;
end
$$;

-- Lets the action with this key be undone once; `known` is the action's answer. Bars an action that has not come.
create or replace function amends_barrier.compensation(key text, out verdict text, out known text)
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    v_state text;
begin
    loop
        insert into amends_barrier.action_key (key, state) values (compensation.key, 'barred')
        on conflict on constraint action_key_pkey do nothing;
        if found then
            perform amends_barrier.refuse_forgotten(compensation.key);
            verdict := 'absent';
            return;
        end if;
        update amends_barrier.action_key a set state = 'undone'
        where a.key = compensation.key and a.state = 'applied'
        returning a.output into known;
        if found then
            verdict := 'proceed';
            return;
        end if;
        select a.state into v_state from amends_barrier.action_key a where a.key = compensation.key;
        if found and v_state <> 'applied' then
            verdict := case v_state when 'undone' then 'undone' else 'absent' end;
            return;
        end if;
    end loop;
end
$$;

-- Tells whether the action with this key took effect, and its answer; bars it if it did not. An action that was
-- undone is absent: it has no effect, and will have none.
create or replace function amends_barrier.probe(key text, out verdict text, out known text)
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    loop
        insert into amends_barrier.action_key (key, state) values (probe.key, 'barred')
        on conflict on constraint action_key_pkey do nothing;
        if found then
            perform amends_barrier.refuse_forgotten(probe.key);
            verdict := 'absent';
            return;
        end if;
        select case a.state when 'applied' then 'applied' else 'absent' end, a.output into verdict, known
        from amends_barrier.action_key a where a.key = probe.key;
        if found then
            known := case verdict when 'applied' then known end;
            return;
        end if;
    end loop;
end
$$;

-- Forgets up to `rows_max` keys that were written more than `older_than` ago, and moves the horizon past their sagas;
-- returns how many keys. From then on a missing key is unknown (AM010) if its saga began no later than these: also a
-- key whose action never came, and a key whose action comes for the first time. So `older_than` must be longer than
-- the longest life of a saga that calls this participant: with all its waits and deadlines, its pauses, and the time
-- in which it is stuck until a person comes. A `key_lifetime` in the definition must be shorter than `older_than`.
create or replace function amends_barrier.forget(older_than interval, rows_max int default 10000) returns bigint
language sql volatile set search_path = pg_catalog, pg_temp as $$
    with old as materialized (
        select a.key, amends_barrier.started_ms(a.key) as started_ms from amends_barrier.action_key a
        where a.at < now() - older_than
        order by a.key limit rows_max for update skip locked
    ), moved as (
        update amends_barrier.horizon h
        set started_ms = greatest(h.started_ms, o.started_ms), others = h.others or o.others
        from (select max(o.started_ms) as started_ms, bool_or(o.started_ms is null) as others from old o) o
        where o.others is not null
    ), gone as (
        delete from amends_barrier.action_key a where a.key = any (array (select o.key from old o)) returning a.key
    )
    select count(*) from gone
$$;
