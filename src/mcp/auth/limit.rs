//! Rate limits for principals. The counts are those of this node; nodes share no counts.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

type Counts = RateLimiter<String, HashMapStateStore<String>, MonotonicClock, NoOpMiddleware<std::time::Instant>>;

/// Counts requests by principal.
pub(in crate::mcp) struct Limits {
    requests: Counts,
}

impl Limits {
    pub(in crate::mcp) fn new(requests_per_minute: u32) -> Self {
        let most = NonZeroU32::new(requests_per_minute).unwrap_or(NonZeroU32::MIN);
        Self { requests: RateLimiter::new(Quota::per_minute(most), HashMapStateStore::default(), MonotonicClock) }
    }

    /// Counts a request. If it is one too many, the error says how long to wait.
    pub(in crate::mcp) fn request(&self, principal: &str) -> Result<(), Duration> {
        self.requests.check_key(&principal.to_owned()).map_err(|over| over.wait_time_from(MonotonicClock.now()))
    }

    /// Forgets callers whose counts have fully recovered.
    pub(in crate::mcp) fn forget(&self) {
        self.requests.retain_recent();
    }
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
