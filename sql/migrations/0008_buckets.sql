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

-- No function is for everybody; roles are granted what they need.
revoke all on all functions in schema amends from public;
