-- Retention: payloads of ended sagas are erased when the retention of their definition has passed, and rows go with
-- their partition. Nodes call these functions.

-- Returns the retention that a definition asks for, in milliseconds. Null: none, or it cannot be read.
create or replace function amends.retention_ms(draft text) returns bigint language plpgsql immutable
set search_path = pg_catalog, pg_temp as $$
begin
    return (retention_ms.draft::json ->> 'retention_ms')::bigint;
exception when others then
    return null;
end
$$;

-- Walks over the rows of ended sagas of days that are over, up to 500000 rows, and notes which definitions they have.
create or replace function amends.walk_ended_days() returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
    v_part text;
    v_from uuid;
    v_definitions int[];
    v_last uuid;
    v_rows bigint;
    v_left bigint := 500000;
begin
    for v_part in
        select c.relname
        from pg_class c
        where c.relnamespace = 'amends'::regnamespace and c.relkind = 'r' and c.relispartition
          and c.relname ~ '^saga_done_[0-9]{8}$'
          and c.relname < 'saga_done_' || to_char((amends.now() - interval '2 days') at time zone 'utc', 'YYYYMMDD')
          and not exists (select from amends.ended_day e where e.part = c.relname and e.walked is null)
        order by c.relname
    loop
        insert into amends.ended_day (part, definitions, walked)
        values (v_part, '{}', '00000000-0000-0000-0000-000000000000')
        on conflict (part) do nothing;
        loop
            exit when v_left <= 0;
            select e.walked into strict v_from from amends.ended_day e where e.part = v_part;
            execute format(
                'select count(*), array_agg(distinct p.definition), (array_agg(p.id order by p.id desc))[1]
                 from (select d.id, d.definition from amends.%I d where d.id > $1 order by d.id limit 20000) p', v_part)
            into v_rows, v_definitions, v_last using v_from;
            v_left := v_left - v_rows - 1;
            update amends.ended_day e
            set walked = case when v_rows = 20000 then v_last end,
                definitions = array(select distinct u.one from unnest(e.definitions || v_definitions) u (one)
                                    where u.one is not null)
            where e.part = v_part;
            exit when v_rows < 20000;
        end loop;
    end loop;
end
$$;

-- Deletes the start keys of the ended sagas in a partition, up to 200000 sagas of it at a time. Returns whether none
-- is left.
create or replace function amends.forget_start_keys(part text) returns boolean language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
    v_from uuid;
    v_ids uuid[];
begin
    for v_step in 1 .. 10 loop
        select e.unkeyed into strict v_from from amends.ended_day e where e.part = forget_start_keys.part;
        execute format('select array(select d.id from amends.%I d where d.id > $1 order by d.id limit 20000)',
            forget_start_keys.part)
        into v_ids using v_from;
        delete from amends.start_key k where k.id = any (v_ids);
        if cardinality(v_ids) < 20000 then
            return true;
        end if;
        update amends.ended_day e set unkeyed = v_ids[20000] where e.part = forget_start_keys.part;
    end loop;
    return false;
end
$$;

-- Drops partitions whose sagas are past the retention of their definitions: a day of ended sagas when the longest
-- retention among the definitions that ended on it has passed, with the start keys of its sagas; a week of the journal,
-- with its signals, when none of its sagas is kept. `default_ms` is the retention of a definition that asks for none:
-- a day at least, ten years at most. No partition is dropped before it has been over for a day. A live saga keeps its
-- journal, and with it everything in the same partition. Returns the names of the dropped partitions. Waits only
-- briefly: a locked partition is dropped next time. AM005: bad argument.
create or replace function amends.expire(default_ms bigint) returns setof text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_bitmapscan = on as $$
declare
    v_part record;
    v_kept interval;
    v_low uuid;
    v_high uuid;
begin
    if (expire.default_ms between 86400000 and 315360000000) is not true then
        raise exception 'expected a default retention of 86400000 ms (a day) to 315360000000 ms (ten years), found %',
            coalesce(expire.default_ms::text, 'null') using errcode = 'AM005';
    end if;
    perform pg_advisory_xact_lock(4702111234474983746);
    perform amends.walk_ended_days();
    for v_part in
        select c.relname, to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp at time zone 'utc' as day, e.definitions
        from pg_class c
        join amends.ended_day e on e.part = c.relname and e.walked is null
        where c.relnamespace = 'amends'::regnamespace and c.relkind = 'r' and c.relispartition
          and c.relname ~ '^saga_done_[0-9]{8}$'
        order by c.relname
    loop
        select make_interval(secs => coalesce(max(least(greatest(
                   coalesce(amends.retention_ms(d.draft), expire.default_ms), 86400000), 315360000000)), 86400000)
                   / 1000.0)
        into v_kept from amends.definition d where d.id = any (v_part.definitions);
        continue when v_part.day + interval '1 day' > amends.now() - v_kept;
        continue when not amends.forget_start_keys(v_part.relname);
        execute format('alter table amends.saga_done detach partition amends.%I', v_part.relname);
        execute format('drop table amends.%I', v_part.relname);
        delete from amends.ended_day e where e.part = v_part.relname;
        return next v_part.relname;
    end loop;
    for v_part in
        select c.relname, to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp at time zone 'utc' as week
        from pg_class c
        where c.relnamespace = 'amends'::regnamespace and c.relkind = 'r' and c.relispartition
          and c.relname ~ '^journal_[0-9]{8}$'
        order by c.relname
    loop
        continue when v_part.week + interval '7 days' > amends.now() - interval '1 day';
        v_low := amends.uuid_floor(v_part.week);
        v_high := amends.uuid_floor(v_part.week + interval '7 days');
        continue when exists (select from amends.live_saga g where g.id >= v_low and g.id < v_high)
                   or exists (select from amends.saga_done d where d.id >= v_low and d.id < v_high);
        delete from amends.signal s where s.id >= v_low and s.id < v_high;
        execute format('alter table amends.journal detach partition amends.%I', v_part.relname);
        execute format('drop table amends.%I', v_part.relname);
        return next v_part.relname;
    end loop;
end
$$;

-- Erases the payloads of up to `most` ended sagas whose definition asks for a retention that has passed, oldest first.
-- It stops at 10000 rows. Returns how many; call it again while that is not 0. Each definition's sagas are walked
-- once, by the hour of their end. A quarter of an hour is left to transactions that began before they ended a saga.
-- AM005: bad argument.
create or replace function amends.erase_expired(most int) returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_bitmapscan = on as $$
declare
    v_definition record;
    v_from timestamptz;
    v_until timestamptz;
    v_ids uuid[];
    v_wanted int;
    v_sagas int;
    v_rows bigint;
    v_rows_left bigint := 10000;
    v_windows int := 0;
    v_erased int := 0;
begin
    if (erase_expired.most between 1 and 1000) is not true then
        raise exception 'expected 1 to 1000 sagas at a time, found %', coalesce(erase_expired.most::text, 'null')
            using errcode = 'AM005';
    end if;
    if not pg_try_advisory_xact_lock(4702111234474983749) then
        return 0;
    end if;
    insert into amends.redaction (definition, erased_before)
    select d.id, date_trunc('hour', d.created_at) - interval '1 hour'
    from amends.definition d
    where not exists (select from amends.redaction r where r.definition = d.id)
      and amends.retention_ms(d.draft) is not null
    on conflict (definition) do nothing;
    for v_definition in
        select r.definition as id, r.erased_before,
               amends.now() - interval '15 min' - make_interval(secs =>
                   least(greatest(amends.retention_ms(d.draft), 0), 315360000000) / 1000.0) as due
        from amends.redaction r
        join amends.definition d on d.id = r.definition
        where amends.retention_ms(d.draft) is not null
        order by r.erased_before
    loop
        v_from := v_definition.erased_before;
        while v_from < v_definition.due and v_erased < erase_expired.most and v_rows_left > 0
              and v_windows < 500 loop
            v_windows := v_windows + 1;
            v_until := least(v_from + interval '1 hour', v_definition.due);
            v_wanted := erase_expired.most - v_erased;
            v_ids := array(
                select g.id from amends.saga_done g
                where g.ended_at >= v_from and g.ended_at < v_until and g.definition = v_definition.id
                  and g.erased_at is null
                order by g.ended_at
                limit v_wanted);
            select e.sagas, e.rows into v_sagas, v_rows from amends.erase_sagas(v_ids, v_rows_left) e;
            v_rows_left := v_rows_left - v_rows;
            v_erased := v_erased + v_sagas;
            if cardinality(v_ids) < v_wanted and v_sagas = cardinality(v_ids) then
                v_from := v_until;
            end if;
        end loop;
        update amends.redaction r
        set erased_before = v_from
        where r.definition = v_definition.id and r.erased_before < v_definition.due;
    end loop;
    return v_erased;
end
$$;
