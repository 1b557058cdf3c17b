//! Quotas: how many live sagas a fairness key may have. The database counts them when a saga starts.

use serde::{Deserialize, Serialize};

/// Largest number of live sagas in a quota.
pub const QUOTA_LIVE_MAX: u64 = 1_000_000;

/// Largest number of bytes in a quota.
pub const QUOTA_BYTES_MAX: u64 = 1_000_000_000_000;

/// Limits of the live sagas of one fairness key, across all versions of the definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Most sagas that have not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<u64>,
    /// Most bytes of their inputs together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}
