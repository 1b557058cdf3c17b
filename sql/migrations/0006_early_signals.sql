-- What is asked of a saga before its first row is written, and when something was asked.

-- The instant at which something is asked; in a long transaction it is later than amends.now(), which is when the transaction began.
-- A test that drives amends.now() drives this, too.
create function amends.clock() returns timestamptz language sql volatile parallel safe
as $$ select amends.now() + (clock_timestamp() - pg_catalog.now()) $$;

-- Asks something of a saga; the runtime decides. Returns the number of the signal within its saga. `asker` is for whom a
-- node asks; null: the session's user. Locks the saga's row until the caller's transaction ends, so that a saga cannot be
-- parked past a signal. The signal's time is when this was called, before it waits for that lock.
-- AM001: no such saga. AM002: it has ended. AM005: bad argument.
create or replace function amends.request_as(asker text, saga uuid, request json) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_at timestamptz := amends.clock();
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
    values (request_as.saga, v_saga.signals, v_at, coalesce(request_as.asker, session_user),
            coalesce(current_setting('application_name', true), ''),
            case when request_as.asker is null then inet_client_addr() end, request_as.request::text);
    if v_saga.status = 'queued' then
        -- Its journal has not begun. The row in `ready` that has the input is its wake: the lane that takes it reads how many signals
        -- there are. While the saga waits for its turn, the node that gives turns looks at what was asked.
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

-- Wakes of queued sagas: the rows with their input are there.
delete from amends.ready r
where r.input is null and exists (select from amends.saga g where g.id = r.id and g.status = 'queued')
  and exists (select from amends.ready i where i.definition = r.definition and i.id = r.id and i.input is not null);

-- No function is for everybody; roles are granted what they need.
revoke all on all functions in schema amends from public;
