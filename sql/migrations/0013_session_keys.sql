-- Keys that nodes share. They are made here, so that no operator has to distribute a secret. Only the role of nodes
-- reads them.

-- Keys that seal session ids, one for each period of time. The key of the last period still opens ids, and the key of
-- the next one exists in advance, so that nodes know it before another node uses it.
create table amends.session_key (
    period      bigint primary key,
    key         bytea       not null,
    created_at  timestamptz not null
);

-- Returns the keys of the last, the current and the next period. Makes those that are missing, and deletes older ones.
create function amends.session_keys(period_s bigint) returns table (key bytea, is_current boolean)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_period bigint := floor(extract(epoch from amends.now()) / period_s);
begin
    if (select count(*) from amends.session_key k where k.period between v_period and v_period + 1) < 2 then
        -- A version 4 UUID has 122 random bits from the strong source of the server.
        insert into amends.session_key (period, key, created_at)
        select p, sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
               amends.now()
        from generate_series(v_period, v_period + 1) p
        on conflict on constraint session_key_pkey do nothing;
        delete from amends.session_key k where k.period < v_period - 1;
    end if;
    return query
        select k.key, k.period = v_period from amends.session_key k
        where k.period between v_period - 1 and v_period + 1
        order by k.period;
end
$$;

-- No function is for everybody; roles are granted what they need.
revoke all on function amends.session_keys(bigint) from public;
