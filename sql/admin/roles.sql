-- Rights. Five roles without login; grant them to the users that log in. If the owner of a database may not create
-- roles, amends works without them: then only the owner has rights, and `amends doctor` reports it.

do $$
declare
    v_role text;
begin
    foreach v_role in array array['amends_observer', 'amends_viewer', 'amends_producer', 'amends_operator',
        'amends_runtime'] loop
        if to_regrole(v_role) is null then
            begin
                execute format('create role %I nologin', v_role);
            exception
                when duplicate_object or unique_violation then null;
                when insufficient_privilege then
                    raise warning 'role % is missing, and % may not create it', v_role, current_user;
            end;
        end if;
    end loop;
end
$$;

revoke all on all tables in schema amends from public;
revoke all on all functions in schema amends from public;
revoke all on schema amends from public;

do $$
declare
    v_views text := 'amends.sagas, amends.steps, amends.timeline, amends.stuck, amends.in_doubt, amends.backlog,
        amends.nodes, amends.throughput, amends.timers, amends.outbox_lag, amends.definitions, amends.signals,
        amends.definition_pauses, amends.node_drains, amends.reruns, amends.checkup, amends.waits, amends.chores,
        amends.queues, amends.progress, amends.history, amends.erasures';
    -- What an observer sees of them: states, times and counts. Not there are payloads, keys, texts of errors, reasons,
    -- and who asked.
    v_observed text[] := array[
        'sagas (saga, definition, status, started_at, ended_at, wakes_at, node, signals, digest, needs_attention,
            bucket, erased_at)',
        'stuck (saga, definition, step, direction, reason, meaning, since, in_doubt, attempts, probes, legal,
            started_at)',
        'in_doubt (saga, definition, step, direction, stuck, since, attempts, probes, legal, status, started_at)',
        'signals (saga, signal, asked_at, fate)', 'reruns (saga, step, rerun, fate, asked_at)',
        'definition_pauses (definition, held, at, resumed_at)', 'node_drains (node, name, held, at, undone_at)',
        'queues (definition, priority, ready, oldest_at, oldest_age)', 'checkup (subject, level)', 'backlog', 'nodes',
        'throughput', 'timers', 'outbox_lag', 'definitions', 'waits', 'chores', 'progress', 'history'];
    v_observing text := 'amends.now(), amends.bucket(uuid), amends.progress_of(uuid), amends.history_of(uuid)';
    -- Functions that the views call run with the rights of the reader.
    v_reading text := 'amends.now(), amends.bucket(uuid), amends.steps_of(uuid), amends.timeline_of(uuid),
        amends.progress_of(uuid), amends.history_of(uuid), amends.signal_status(uuid, bigint)';
    v_producing text := 'amends.start(text, json, text, text), amends.signal(uuid, text, json),
        amends.cancel(uuid, text), amends.signal_status(uuid, bigint)';
    v_operating text := 'amends.retry(uuid, text, text, boolean), amends.skip(uuid, text, json, text),
        amends.resolve(uuid, text, text, json, text, int), amends.pause(uuid, text), amends.resume(uuid, text),
        amends.approve(uuid, text, text, text), amends.deny(uuid, text, text), amends.abandon(uuid, text),
        amends.pause_definition(text, text), amends.resume_definition(text, text), amends.drain_node(bigint, text),
        amends.undrain_node(bigint, text), amends.evict(uuid, text), amends.rerun_from(uuid, text, text),
        amends.restore_input(uuid, json, text),
        amends.bulk(text, text, text, text, timestamptz, int, interval, boolean),
        amends.erase(text, uuid, text, text, timestamptz, timestamptz, int, text)';
    -- What a node writes. It only inserts into the journal, ended sagas, definitions and start keys.
    v_changing text := 'amends.access_token, amends.census, amends.current_definition, amends.fleet_signal,
        amends.rerun, amends.signal, amends.virtual_time';
    v_passing text := 'amends.chore, amends.eviction, amends.inbox, amends.knock, amends.lane, amends.listener,
        amends.node, amends.outbox, amends.passage, amends.quota_use, amends.ready, amends.saga,
        amends.start_queue, amends.suspect, amends.timer, amends.turn, amends.unreadable, amends.waiting';
    v_compacted text := 'amends.inbox, amends.outbox, amends.ready, amends.saga, amends.start_queue, amends.timer';
    v_role text;
    v_one text;
begin
    foreach v_role in array array['amends_observer', 'amends_viewer', 'amends_producer', 'amends_operator',
        'amends_runtime'] loop
        continue when to_regrole(v_role) is null;
        execute format('grant usage on schema amends to %I', v_role);
        if v_role = 'amends_observer' then
            execute format('revoke all on all tables in schema amends from %I', v_role);
            foreach v_one in array v_observed loop
                execute format('grant select %s on amends.%s to %I', coalesce(substring(v_one from '[(].*[)]'), ''),
                    split_part(v_one, ' ', 1), v_role);
            end loop;
            execute format('grant execute on function %s to %I', v_observing, v_role);
        end if;
        if v_role in ('amends_viewer', 'amends_operator') then
            execute format('grant select on %s to %I', v_views, v_role);
            execute format('grant execute on function %s to %I', v_reading, v_role);
        end if;
        if v_role in ('amends_producer', 'amends_operator') then
            execute format('grant execute on function %s to %I', v_producing, v_role);
        end if;
        if v_role = 'amends_operator' then
            execute format('grant execute on function %s to %I', v_operating, v_role);
        end if;
        if v_role = 'amends_runtime' then
            execute format('revoke all on all tables in schema amends from %I', v_role);
            execute format('grant select, insert on all tables in schema amends to %I', v_role);
            execute format('revoke insert on amends.migration, amends.admin, amends.erasure, amends.redaction,
                amends.ended_day from %I', v_role);
            execute format('grant update on %s to %I', v_changing, v_role);
            execute format('grant update, delete on %s to %I', v_passing, v_role);
            execute format('grant truncate on %s to %I', v_compacted, v_role);
            execute format('grant usage on all sequences in schema amends to %I', v_role);
            execute format('grant execute on all functions in schema amends to %I', v_role);
            execute format(
                'revoke execute on function amends.ensure_partition(text, text, text, text, text),
                amends.erase(text, uuid, text, text, timestamptz, timestamptz, int, text) from %I', v_role);
        end if;
    end loop;
end
$$;

-- Partitions are created and dropped with the rights of their owner, whichever role asks.
alter function amends.ensure_partition(text, text, text, text, text) security definer;
alter function amends.ensure_partitions(int, int) security definer;
