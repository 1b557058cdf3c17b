-- Wakes: a transaction that gives nodes something to do notifies the channel `amends_wake`, if any node listens there
-- (`node.wake: listen`). A notification is a hint without a payload; what is right never depends on it. Postgres lets
-- transactions with a notification commit only one at a time, in the whole cluster. So none is sent while no node
-- listens.

-- Nodes that listen. Read by every start and every request, so it has nothing but a row for each of them.
create table amends.listener (
    node  bigint primary key
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50);

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

-- No function is for everybody; roles are granted what they need.
revoke all on all functions in schema amends from public;
