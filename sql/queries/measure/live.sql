-- Reads the last census, by name of the definition and status.
-- Called by: store/measure.rs. Locks: none. Index: none; the tables are small.
select d.name, c.status, sum(c.sagas)::bigint as sagas
from amends.census c
join amends.definition d on d.id = c.definition
group by d.name, c.status
