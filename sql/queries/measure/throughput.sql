-- Appends what node $1 has seen begin and end: $2 definitions, $3 started, $4 completed, $5 compensated, $6
-- abandoned, $7 stuck.
-- Called by: store/measure.rs. Locks: none. Index: none.
insert into amends.passage (minute, definition, node, started, completed, compensated, abandoned, stuck)
select date_trunc('minute', amends.now()), u.definition, $1::bigint, u.started, u.completed, u.compensated,
    u.abandoned, u.stuck
from unnest($2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    as u (definition, started, completed, compensated, abandoned, stuck)
