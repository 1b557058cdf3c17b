-- Reads the clock.
-- Called by: store/node.rs. Locks: none. Index: none.
select amends.millis(amends.now()) as at
