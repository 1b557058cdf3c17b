-- Whose a start key is.

-- The caller over MCP whose key it is, as `mcp:NAME`. Null: an application's, or a row of an older version;
-- amends.key_owner tells these apart. A key is unique within its owner: `key` holds a caller's key as `mcp:NAME:k:KEY`,
-- and no other door makes a key of that form. Nodes of older versions write the same form, so that a key means the same
-- on old and new nodes.
alter table amends.start_key add column owner text;
