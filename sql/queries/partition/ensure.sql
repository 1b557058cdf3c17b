-- Creates the partitions of the next $1 weeks of journal and $2 days of ended sagas; returns how many are new.
-- Called by: store/sweep.rs. Locks: default partitions, briefly. Index: none.
select amends.ensure_partitions($1::int, $2::int) as made
