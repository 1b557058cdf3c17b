-- Reads definitions: by digest $1, or by name $2 the one that starts take, or all when both are null.
-- Called by: store/definition.rs. Locks: none. Index: definition_digest_key, definition_pause_held.
select d.id, d.digest, d.name, d.draft, amends.millis(d.created_at) as created_at, c.definition is not null as current,
       exists (select from amends.definition_pause p where p.name = d.name and p.resumed_at is null) as paused
from amends.definition d
left join amends.current_definition c on c.definition = d.id
where ($1::text is null or d.digest = $1) and ($2::text is null or (d.name = $2 and c.definition is not null))
order by d.id
