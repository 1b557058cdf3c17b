-- The queue of starts. A start by SQL is one row here until a node takes it, and the node makes the saga's row: so a
-- start and its claim write less than when the start makes that row. `ready` has everything else that any node may
-- take: wakes, starts whose definition has a priority, a fairness key or a quota, starts that were given their turn,
-- and starts that were asked something before a node took them. Those have a row of their saga.

create table amends.start_queue (
    id          uuid        primary key,
    n           bigint      generated always as identity,
    at          timestamptz not null default amends.now(),
    definition  int         not null,
    -- The input as JSON, and what follows it in the first row of the journal.
    input       text        not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
-- The order in which nodes take the starts of a definition. Every number is above 0. The condition keeps the planner
-- from this index when it looks up an id in a table that it knows as empty.
create index start_queue_order on amends.start_queue (definition, n) where n > 0;

-- The definition, if its starts only go to the queue: it has no concurrency key, priority, fairness key and quota, and
-- no node of an older version was in service when a node noted this. Such a node does not see the queue. It does not
-- set this when it makes another definition the current one, so only a value that equals `definition` counts.
alter table amends.current_definition add column plain int;
