//! Rate limits for callers. The counts are those of this node; nodes share no counts.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::config::mcp::FAILURES_PER_MINUTE;

type Counts = RateLimiter<String, HashMapStateStore<String>, MonotonicClock, NoOpMiddleware<std::time::Instant>>;

/// Counts requests by principal, and failed authentications by address.
pub(in crate::mcp) struct Limits {
    requests: Counts,
    failures: Counts,
}

impl Limits {
    pub(in crate::mcp) fn new(requests_per_minute: u32) -> Self {
        let counts = |most: u32| {
            let most = NonZeroU32::new(most).unwrap_or(NonZeroU32::MIN);
            RateLimiter::new(Quota::per_minute(most), HashMapStateStore::default(), MonotonicClock)
        };
        Self { requests: counts(requests_per_minute), failures: counts(FAILURES_PER_MINUTE) }
    }

    /// Counts a request. If it is one too many, the error says how long to wait.
    pub(in crate::mcp) fn request(&self, principal: &str) -> Result<(), Duration> {
        count(&self.requests, principal)
    }

    /// Counts a failed authentication. If it is one too many, the error says how long to wait.
    pub(in crate::mcp) fn failure(&self, address: &str) -> Result<(), Duration> {
        count(&self.failures, address)
    }

    /// Forgets callers whose counts have fully recovered.
    pub(in crate::mcp) fn forget(&self) {
        self.requests.retain_recent();
        self.failures.retain_recent();
    }
}

fn count(counts: &Counts, who: &str) -> Result<(), Duration> {
    counts.check_key(&who.to_owned()).map_err(|over| over.wait_time_from(MonotonicClock.now()))
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_has_a_count_of_its_own() {
        let limits = Limits::new(2);
        assert!(limits.request("ada").is_ok() && limits.request("ada").is_ok());
        let wait = limits.request("ada").unwrap_err();
        assert!(wait > Duration::from_secs(20) && wait <= Duration::from_secs(30), "{wait:?}");
        assert!(limits.request("bob").is_ok());
    }
}
