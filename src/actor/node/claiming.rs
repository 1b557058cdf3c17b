//! Whether this node takes sagas now. Owns what its beat was told, and the short while after an eviction in which it
//! leaves sagas to others; each dispatcher looks before it claims.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::config::actor as limits;

/// What the node takes on.
#[derive(Debug)]
pub struct Claiming {
    origin: Instant,
    /// An operator has told the node to take no sagas, and to hand over those that it has.
    draining: AtomicBool,
    /// Milliseconds since `origin` until which it claims nothing.
    averted_until_ms: AtomicU64,
}

impl Default for Claiming {
    fn default() -> Self {
        Self { origin: Instant::now(), draining: AtomicBool::new(false), averted_until_ms: AtomicU64::new(0) }
    }
}

impl Claiming {
    /// Takes in what the beat was told.
    pub(crate) fn told(&self, draining: bool) {
        if self.draining.swap(draining, Ordering::Relaxed) != draining {
            let word = if draining { "hands over its sagas and takes no more" } else { "takes sagas again" };
            tracing::warn!("an operator said so: this node {word}");
        }
    }

    /// Whether sagas are to be handed over, and none to be taken.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// A saga was taken from this node: for a moment others come first. If there is nobody else it comes back.
    pub(crate) fn avert(&self) {
        let until = self.origin.elapsed() + Duration::from_millis(limits::AVERTED_MS);
        self.averted_until_ms.store(millis(until), Ordering::Relaxed);
    }

    /// Whether the node claims now.
    pub(crate) fn claims(&self) -> bool {
        !self.is_draining() && millis(self.origin.elapsed()) >= self.averted_until_ms.load(Ordering::Relaxed)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_claims_unless_it_drains_or_has_just_lost_a_saga() {
        let claiming = Claiming::default();
        assert!(claiming.claims());
        claiming.told(true);
        assert!(claiming.is_draining() && !claiming.claims());
        claiming.told(false);
        assert!(claiming.claims());
        claiming.avert();
        assert!(!claiming.claims() && !claiming.is_draining());
    }
}
