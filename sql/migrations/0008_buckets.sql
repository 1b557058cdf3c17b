-- Buckets: ten bits of each saga's id, from 0 to 1023. All sagas of one concurrency key have the same bucket, and so have all
-- repeats of one start key. Nothing routes by the bucket yet: a later map may give each bucket a database of its own. The same
-- rules stand in Rust (`saga/bucket.rs`).

-- The bucket in an id: the ten bits after the version of a UUIDv7.
create function amends.bucket(id uuid) returns int language sql immutable parallel safe as $$
    select ((get_byte(uuid_send(bucket.id), 6) & 15) << 6) | (get_byte(uuid_send(bucket.id), 7) >> 2)
$$;

-- The bucket of a key: the first ten bits of its SHA-256.
create function amends.bucket_of_key(key text) returns int language sql immutable parallel safe as $$
    select ('x' || left(encode(sha256(convert_to(bucket_of_key.key, 'UTF8')), 'hex'), 3))::bit(12)::int >> 2
$$;

-- A UUIDv7 by the server's clock, in a bucket. The two bits after the bucket are random.
create function amends.uuid7(bucket int) returns uuid language sql volatile parallel safe as $$
    select encode(
        overlay(uuid_send(amends.uuid7())
                placing substring(int4send(28672 + (uuid7.bucket << 2) + floor(random() * 4)::int) from 3)
                from 7 for 2),
        'hex')::uuid
$$;

-- Starts a saga as amends.start does, under an id that the caller chose. Null: a new id in the bucket of the concurrency key,
-- else of the start key, else in a random one. Another id comes back when the key had started a saga before, so that the caller
-- learns whether it was this start.
create or replace function amends.start_as(
    id uuid, definition text, input json, key text default null, traceparent text default null
) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_definition int;
    v_path text[];
    v_turn text;
    v_id uuid;
    v_digest bytea;
    v_first amends.start_key;
    -- What follows the input in the first row of the journal.
    v_further text := '';
begin
    if start_as.traceparent is not null then
        if start_as.traceparent !~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'
           or start_as.traceparent ~ '^00-0{32}|-0{16}-' then
            raise exception 'expected a traceparent such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, found %',
                quote_literal(left(start_as.traceparent, 100)) using errcode = 'AM005';
        end if;
        v_further := ',"traceparent":"' || start_as.traceparent || '"';
    end if;
    if start_as.definition is null or start_as.input is null then
        raise exception 'expected a definition and an input, found null' using errcode = 'AM005';
    end if;
    if octet_length(start_as.input::text) > 1048576 then
        raise exception 'expected an input of at most 1048576 bytes, found %', octet_length(start_as.input::text)
            using errcode = 'AM005';
    end if;
    if octet_length(start_as.key) not between 1 and 512 then
        raise exception 'expected a key of 1 to 512 bytes, found %', octet_length(start_as.key) using errcode = 'AM005';
    end if;
    select d.id, d.concurrency into v_definition, v_path
    from amends.current_definition c join amends.definition d on d.id = c.definition
    where c.name = start_as.definition;
    if not found then
        raise exception 'expected the name of a registered definition, found %', quote_literal(start_as.definition)
            using errcode = 'AM003', hint = 'A node registers its definitions when it starts.';
    end if;
    if start_as.key is not null then
        v_digest := amends.input_digest(start_as.input::text);
        if v_path is not null then
            -- A repeat gets the answer of its key, whatever has become of the definition and of the input.
            select k.* into v_first from amends.start_key k
            where k.name = start_as.definition and k.key = start_as.key;
        end if;
    end if;
    if v_first.id is null then
        if v_path is not null then
            v_turn := amends.concurrency_key(start_as.input, v_path);
        end if;
        v_id := case
            when start_as.id is not null then start_as.id
            when v_turn is null and start_as.key is null then amends.uuid7()
            else amends.uuid7(amends.bucket_of_key(coalesce(v_turn, start_as.key)))
        end;
        if start_as.key is not null then
            insert into amends.start_key (name, key, id, digest, at)
            values (start_as.definition, start_as.key, v_id, v_digest, amends.now())
            on conflict on constraint start_key_pkey do nothing;
            if not found then
                select k.* into strict v_first from amends.start_key k
                where k.name = start_as.definition and k.key = start_as.key;
            end if;
        end if;
    end if;
    if v_first.digest = v_digest then
        return v_first.id;
    elsif v_first.id is not null then
        raise exception 'expected the input that key % was first used with by saga %, found another',
            quote_literal(start_as.key), v_first.id using errcode = 'AM004';
    end if;
    insert into amends.saga (id, definition, status, lane, signals, started_at)
    values (v_id, v_definition, 'queued', null, 0, amends.now());
    if v_turn is null then
        insert into amends.ready (definition, id, input) values (v_definition, v_id, start_as.input::text || v_further);
    else
        perform amends.queue(start_as.definition, v_turn, v_id, v_definition, start_as.input::text || v_further);
    end if;
    return v_id;
end
$$;

-- No function is for everybody; roles are granted what they need.
revoke all on all functions in schema amends from public;
