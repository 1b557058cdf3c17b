//! Pauses between rounds of repeated work.

use std::time::Duration;

use crate::config::actor as limits;

/// Returns the pause after work that took `took`: at least `least`, and at least `SELDOM` times `took`, so that the
/// work takes only a small share of the time. A statement that reads dead rows is slow while an old snapshot keeps
/// vacuum from removing them.
pub(crate) fn in_proportion(least: Duration, took: Duration) -> Duration {
    least.max(took * limits::SELDOM)
}

/// Returns a pause that is up to a tenth shorter at random, so that nodes do not act at the same time.
pub(crate) fn slightly_shorter(pause: Duration) -> Duration {
    pause.mul_f64(1.0 - rand::random::<f64>() / 10.0)
}

/// Returns a pause that differs by up to a quarter at random, so that nodes and lanes do not act at the same time.
pub(crate) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.75 + rand::random::<f64>() / 2.0)
}
