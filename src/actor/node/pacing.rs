//! How long work that repeats pauses.

use std::time::Duration;

use crate::config::actor as limits;

/// Returns the pause after work that took `took`: at least `least`, and so long that the work takes a small share of
/// the time. A statement that walks over dead rows takes long while an old snapshot keeps them from vacuum.
pub(crate) fn in_proportion(least: Duration, took: Duration) -> Duration {
    least.max(took * limits::SELDOM)
}
