-- Reads the definition with digest $1, or the current definition named $2, or all definitions if both are null.
-- Called by: store/definition.rs. Locks: none. Index: definition_digest_key, fleet_signal_paused.
select d.id, d.digest, d.name, d.draft, amends.millis(d.created_at) as created_at, c.definition is not null as current,
       exists (select from amends.fleet_signal p
               where p.definition = d.name and p.verb = 'pause_definition' and p.lifted_by is null) as paused
from amends.definition d
left join amends.current_definition c on c.definition = d.id
where ($1::text is null or d.digest = $1) and ($2::text is null or (d.name = $2 and c.definition is not null))
order by d.id
