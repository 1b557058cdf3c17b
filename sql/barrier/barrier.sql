-- The barrier: for a participant with its own Postgres. Run this file once in the participant's database (it may be run
-- again), and call one of its functions in the transaction that makes or undoes an effect. It owns the answer to "did the
-- call with this key take effect, and can it still?"; the effect itself is the participant's.
--
--   amends_barrier.action(key)         before the effect: `proceed`, or `applied` (it is a duplicate: answer as the first
--                                      time), or `barred` (it comes too late: refuse it, nothing is to be done)
--   amends_barrier.compensation(key)   before the undoing, with the key of the ACTION: `proceed`, or `undone` (a
--                                      duplicate), or `absent` (the action never took effect, and from now on never will)
--   amends_barrier.probe(key)          `applied`, or `absent` (and from now on it will stay so: a late action is barred)
--
-- All three insert the key's row or meet it, so for one key they run one after the other: who comes while another's
-- transaction is open waits for its end (set lock_timeout), and an answer is never given about a transaction that may still
-- commit. Use READ COMMITTED, the default; stricter levels are right as well, but fail with 40001 where this one waits.
-- What a barrier has answered holds when the caller's transaction commits: answer the caller after the commit.

create schema if not exists amends_barrier;

-- One row per action. Keys begin with the saga's id, which is ordered by time, so inserts stay at the right edge.
create table if not exists amends_barrier.action_key (
    key     text primary key,
    -- applied -> undone; or barred, which never took effect
    state   text        not null check (state in ('applied', 'undone', 'barred')),
    output  text,
    at      timestamptz not null default now()
);

-- Lets the action with this key take effect once. `output` is what to answer a duplicate with, if it is known by now (an id
-- that the caller made); else hand it in later with amends_barrier.answer, in the same transaction.
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
            verdict := 'proceed';
            return;
        end if;
        -- A statement of its own, so that it sees what the insert waited for.
        select a.state, a.output into v_state, known from amends_barrier.action_key a where a.key = action.key;
        if found then
            verdict := case v_state when 'applied' then 'applied' else 'barred' end;
            known := case v_state when 'applied' then known end;
            return;
        end if;
        -- Forgotten between the two statements.
    end loop;
end
$$;

-- Notes what the action with this key answers, in its own transaction.
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

-- Lets the action with this key be undone once; `known` is what it had answered. Bars an action that is not there.
create or replace function amends_barrier.compensation(key text, out verdict text, out known text)
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    v_state text;
begin
    loop
        insert into amends_barrier.action_key (key, state) values (compensation.key, 'barred')
        on conflict on constraint action_key_pkey do nothing;
        if found then
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

-- Says whether the action with this key took effect, and with what answer; bars it if it did not. One that was undone is
-- absent: it has no effect, and will have none.
create or replace function amends_barrier.probe(key text, out verdict text, out known text)
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    loop
        insert into amends_barrier.action_key (key, state) values (probe.key, 'barred')
        on conflict on constraint action_key_pkey do nothing;
        if found then
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

-- Forgets up to `rows_max` keys that were last new `older_than` ago; returns how many. A call that is repeated or comes late
-- after that takes effect again, so say a shorter time as `key_lifetime` in the definition.
create or replace function amends_barrier.forget(older_than interval, rows_max int default 10000) returns bigint
language sql volatile set search_path = pg_catalog, pg_temp as $$
    with old as materialized (
        select a.key from amends_barrier.action_key a where a.at < now() - older_than
        order by a.key limit rows_max for update skip locked
    ), gone as (
        delete from amends_barrier.action_key a where a.key = any (array (select o.key from old o)) returning a.key
    )
    select count(*) from gone
$$;
