-- Makes the definition with digest $1 the current one of its name, which starts by name take. Notes whether
-- its starts only go to the queue. Returns its id.
-- Called by: store/definition.rs. Locks: the name's row. Index: definition_digest_key.
with chosen as (
    insert into amends.current_definition as c (name, definition, plain)
    select d.name, d.id,
           case when num_nonnulls(d.concurrency, d.priority, d.fairness, d.quota_live, d.quota_bytes) = 0 then d.id end
    from amends.definition d
    where d.digest = $1::text
    on conflict (name) do update set definition = excluded.definition, plain = excluded.plain
    where (c.definition, c.plain) is distinct from (excluded.definition, excluded.plain)
)
select d.id from amends.definition d where d.digest = $1::text
