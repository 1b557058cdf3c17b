-- Nodes that claim the same definitions share the looks while they have nothing to do: each beat tells a node how many
-- of them there are, and how many joined before it.

-- Digest of the definitions that the node claims. None: it claims nothing, or its version shares no looks.
alter table amends.node add column claims bigint;
create index node_claims on amends.node (claims, id)
    where claims is not null and gone_at is null and disowned_at is null;
