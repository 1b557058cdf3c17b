-- Notes which current definitions have starts that only go to the queue, unless a node is in service that does not know
-- the queue: one with a schema before version $1.
-- Called by: store/definition.rs, when a node has registered its definitions, and now and then.
-- Locks: the names' rows (skip locked). Index: none; the tables are small.
with due as (
    select c.name, d.id
    from amends.current_definition c
    join amends.definition d on d.id = c.definition
    where c.plain is distinct from d.id
      and num_nonnulls(d.concurrency, d.priority, d.fairness, d.quota_live, d.quota_bytes) = 0
      and not exists (select from amends.node n
                      where n.gone_at is null and n.beat_at > amends.now() - n.ttl_ms * interval '1 ms'
                        and coalesce(n.schema_version, 0) < $1::int)
    order by c.name
    for update of c skip locked
)
update amends.current_definition c set plain = u.id from due u where c.name = u.name and c.definition = u.id
