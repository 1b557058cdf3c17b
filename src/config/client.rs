//! Limits of clients.

/// How long a client without a node trusts the definitions that it has read, in milliseconds.
pub const DEFINITIONS_FRESH_MS: u64 = 1_000;
