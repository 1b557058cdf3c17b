//! The database's time, and how long this node may trust its lease. Owns the arithmetic between the two;
//! `maintenance/heartbeat.rs` takes the samples.
//!
//! The process's own clock is monotonic. It continues the time between samples, and ends the trust early rather than
//! late (as in River's leases).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::saga::definition::Millis;

/// Database time, continued between samples by the process's monotonic clock.
#[derive(Debug)]
pub struct LeaseClock {
    origin: Instant,
    /// Database time at `origin`, in milliseconds since the Unix epoch.
    epoch_ms: AtomicU64,
    /// End of the trust in the lease, in milliseconds since `origin`.
    trusted_until_ms: AtomicU64,
}

impl LeaseClock {
    /// Starts from a first sample: a beat was sent at `sent`, and the database answered `now_ms`.
    pub fn new(sent: Instant, now_ms: Millis, trust: Duration) -> Self {
        Self { origin: sent, epoch_ms: AtomicU64::new(now_ms), trusted_until_ms: AtomicU64::new(millis(trust)) }
    }

    /// Takes another sample, whose answer has just come. Trust counts from the sending of the beat, since its arrival
    /// time is unknown. The time is only corrected if it cannot be right: the database read its clock at some time
    /// between the sending and the answer, and a slow answer tells little about when.
    pub fn sample(&self, sent: Instant, now_ms: Millis, trust: Duration) {
        let sent_ms = millis(sent.saturating_duration_since(self.origin));
        let latest = now_ms.saturating_sub(sent_ms);
        let earliest = now_ms.saturating_sub(millis(self.origin.elapsed())).min(latest);
        let epoch = self.epoch_ms.load(Ordering::Relaxed).clamp(earliest, latest);
        self.epoch_ms.store(epoch, Ordering::Relaxed);
        self.trusted_until_ms.store(sent_ms + millis(trust), Ordering::Release);
    }

    /// Returns the database's time now, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> Millis {
        self.epoch_ms.load(Ordering::Relaxed) + millis(self.origin.elapsed())
    }

    /// Whether this node may still begin effects: its last confirmed beat is so recent that no other node can have
    /// taken its sagas.
    pub fn is_trusted(&self) -> bool {
        millis(self.origin.elapsed()) < self.trusted_until_ms.load(Ordering::Acquire)
    }

    /// Ends the trust at once: this node was declared dead.
    pub fn distrust(&self) {
        self.trusted_until_ms.store(0, Ordering::Release);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_the_databases_time_on_and_trusts_from_the_sending() {
        let sent = Instant::now();
        let clock = LeaseClock::new(sent, 1_000_000, Duration::from_secs(6));
        assert!(clock.now_ms() >= 1_000_000);
        assert!(clock.is_trusted());
        clock.sample(sent, 5_000_000, Duration::ZERO);
        assert!(clock.now_ms() >= 5_000_000);
        assert!(!clock.is_trusted(), "a beat gives no trust after its time");
        // An answer that came late leaves the time as it is.
        let epoch = clock.epoch_ms.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(30));
        clock.sample(sent, epoch + 20, Duration::from_secs(6));
        assert_eq!(clock.epoch_ms.load(Ordering::Relaxed), epoch);
        clock.sample(Instant::now(), 5_000_000, Duration::from_secs(6));
        assert!(clock.is_trusted());
        clock.distrust();
        assert!(!clock.is_trusted());
    }
}
