-- Lists up to $1 starts that wait for their turn and were asked something.
-- Called by: store/turn.rs. Locks: none. Index: knock_asked.
select k.n, k.id from amends.knock k where k.id is not null order by k.n limit $1::bigint
