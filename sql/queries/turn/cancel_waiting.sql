-- Takes starts $1 out of the queue and makes them ready without their turn: they end before they begin anything.
-- Deletes the knocks $2, which this answers, or which ask for nothing urgent.
-- Called by: store/turn.rs. Locks: knocks (skip locked), then waiting starts, in order. Index: knock_pkey, waiting_id.
with mine as materialized (
    select k.n from amends.knock k where k.n = any ($2::bigint[]) order by k.n for update skip locked
), heard as (
    delete from amends.knock k where k.n = any (array (select m.n from mine m))
), held as materialized (
    select w.id from amends.waiting w where w.id = any ($1::uuid[]) order by w.id for update
), gone as (
    delete from amends.waiting w where w.id = any (array (select h.id from held h))
    returning w.id, w.definition, w.input
), queued as (
    insert into amends.ready (definition, id, input) select g.definition, g.id, g.input from gone g
)
select count(*) as called_off from gone g
