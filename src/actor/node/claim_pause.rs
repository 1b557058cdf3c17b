//! Whether this node pauses its claims. Owns the drain flag from the last beat, and the pause after an eviction during
//! which other nodes claim first. A shortage of files pauses claims, too. Each dispatcher checks before it claims.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::config::actor as limits;
use crate::files;

/// What stops this node from claiming.
#[derive(Debug)]
pub struct ClaimPause {
    origin: Instant,
    /// Set while an operator drains the node: it claims no sagas and hands back those that it has.
    draining: AtomicBool,
    /// End of the pause after an eviction, in milliseconds since `origin`.
    averted_until_ms: AtomicU64,
}

impl Default for ClaimPause {
    fn default() -> Self {
        Self { origin: Instant::now(), draining: AtomicBool::new(false), averted_until_ms: AtomicU64::new(0) }
    }
}

impl ClaimPause {
    /// Takes the drain flag from a beat, and logs a change.
    pub(crate) fn told(&self, draining: bool) {
        if self.draining.swap(draining, Ordering::Relaxed) != draining {
            let word = if draining { "draining" } else { "claiming sagas again" };
            tracing::warn!("{word}: requested by an operator");
        }
    }

    /// Whether an operator drains the node.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Pauses claims for `AVERTED_MS` after an eviction, so that another node claims the saga. If there is no other
    /// node, the saga comes back.
    pub(crate) fn avert(&self) {
        let until = self.origin.elapsed() + Duration::from_millis(limits::AVERTED_MS);
        self.averted_until_ms.store(millis(until), Ordering::Relaxed);
    }

    /// Whether the node claims now.
    pub(crate) fn claims(&self) -> bool {
        let averted = millis(self.origin.elapsed()) < self.averted_until_ms.load(Ordering::Relaxed);
        !self.is_draining() && !averted && !files::is_short()
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
        let pause = ClaimPause::default();
        assert!(pause.claims());
        pause.told(true);
        assert!(pause.is_draining() && !pause.claims());
        pause.told(false);
        assert!(pause.claims());
        pause.avert();
        assert!(!pause.claims() && !pause.is_draining());
    }
}
