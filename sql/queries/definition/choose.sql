-- Makes the definition with digest $1 the current one of its name, which starts by name take. Returns its id.
-- Called by: store/definition.rs. Locks: the name's row. Index: definition_digest_key.
with chosen as (
    insert into amends.current_definition as c (name, definition)
    select d.name, d.id from amends.definition d where d.digest = $1::text
    on conflict (name) do update set definition = excluded.definition
    where c.definition <> excluded.definition
)
select d.id from amends.definition d where d.digest = $1::text
