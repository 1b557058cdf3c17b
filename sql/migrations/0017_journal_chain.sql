-- The chain of a journal.

-- The row's link, for sagas whose journal is chained: a digest over the row and the link before it, and what an erasure
-- needs to keep it true (store/chain.rs). Null costs nothing: the bits that say so fit into the padding of each row.
alter table amends.journal add column link bytea;
