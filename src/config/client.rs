//! Limits of clients.

/// How long a client beside the database trusts what it has read of the definitions, in milliseconds.
pub const DEFINITIONS_FRESH_MS: u64 = 1_000;
