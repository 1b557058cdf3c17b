-- Walks over $3 turns after the one of name $1 and key $2, and lists the holders among them that have ended.
-- Called by: store/turn.rs, for holders whose node died after their end and before it passed the turn on.
-- Locks: none. Index: turn_pkey, saga_pkey.
with page as materialized (
    select t.name, t.key, t.holder from amends.turn t
    where (t.name, t.key) > ($1::text, $2::text)
    order by t.name, t.key
    limit $3::bigint
), last as (
    select p.name, p.key from page p order by p.name desc, p.key desc limit 1
)
select l.name, l.key,
       array (select p.holder from page p
              where (select g.id from amends.saga g where g.id = p.holder) is null) as holders
from last l
