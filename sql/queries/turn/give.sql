-- Gives turns: looks at up to $1 new starts, and at the turns of sagas $2, which have ended.
-- Called by: store/turn.rs. Locks: knocks (skip locked), turns in order, waiting starts (skip locked).
-- Index: knock_pkey, turn_pkey, turn_holder, waiting_pkey.
select g.answered, g.given from amends.give_turns($1::bigint, $2::uuid[]) g
