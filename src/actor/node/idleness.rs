//! Whether this node sleeps: a node that has nothing to do may close its connections and send no statement until
//! something is due. Owns the phase, the hints to fall asleep and to wake, and the count of what keeps the node awake
//! besides its sagas. `maintenance/idle_watch.rs` decides when; `runtime/sleep.rs` does it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// Whether a node sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Awake,
    /// From when its lanes take nothing more.
    Asleep,
    /// From when it has joined again, until its lanes are there.
    Waking,
}

/// Whether this node sleeps.
#[derive(Debug)]
pub struct Idleness {
    phase: watch::Sender<Phase>,
    /// Grows whenever the node gets something to do.
    activity: AtomicU64,
    holds: Arc<AtomicUsize>,
    fall_asleep: Notify,
    wake: Notify,
}

/// Keeps the node awake until it is dropped.
#[derive(Debug)]
pub(crate) struct Hold(Arc<AtomicUsize>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Idleness {
    fn default() -> Self {
        Self {
            phase: watch::Sender::new(Phase::Awake),
            activity: AtomicU64::new(0),
            holds: Arc::default(),
            fall_asleep: Notify::new(),
            wake: Notify::new(),
        }
    }
}

impl Idleness {
    /// Notes that the node got something to do, and wakes it if it sleeps.
    pub(crate) fn note(&self) {
        self.activity.fetch_add(1, Ordering::Relaxed);
        if self.is_asleep() {
            self.wake.notify_one();
        }
    }

    /// Returns a number that changes whenever the node gets something to do.
    pub(crate) fn activity(&self) -> u64 {
        self.activity.load(Ordering::Relaxed)
    }

    /// Keeps the node awake until the hold is dropped.
    pub(crate) fn hold(&self) -> Hold {
        self.note();
        self.holds.fetch_add(1, Ordering::Relaxed);
        Hold(self.holds.clone())
    }

    /// Whether something besides a saga keeps the node awake.
    pub(crate) fn is_held(&self) -> bool {
        self.holds.load(Ordering::Relaxed) > 0
    }

    /// Whether the node sleeps, or is about to.
    pub fn is_asleep(&self) -> bool {
        *self.phase.borrow() == Phase::Asleep
    }

    /// Whether the node's lanes are there.
    pub fn is_awake(&self) -> bool {
        *self.phase.borrow() == Phase::Awake
    }

    /// Asks the runtime to let the node fall asleep.
    pub(crate) fn ask_to_sleep(&self) {
        self.fall_asleep.notify_one();
    }

    /// Waits until the node is to fall asleep.
    pub async fn asked_to_sleep(&self) {
        self.fall_asleep.notified().await;
    }

    /// Records that the node falls asleep. A request from now on ends the sleep, even before it has begun.
    pub async fn falls_asleep(&self) {
        // A hint from before must not end this sleep. What it was for is in the database by now.
        let _ = tokio::time::timeout(Duration::ZERO, self.wake.notified()).await;
        self.phase.send_replace(Phase::Asleep);
    }

    /// Waits until something wakes the node.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Records that the node has joined again.
    pub fn has_joined(&self) {
        self.phase.send_replace(Phase::Waking);
    }

    /// Records that the lanes of the node are there.
    pub fn is_up(&self) {
        self.phase.send_replace(Phase::Awake);
    }

    /// Wakes the node if it sleeps, and waits until its lanes are there, for `most` at most.
    pub(crate) async fn wake_up(&self, most: Duration) {
        self.note();
        if !self.is_awake() {
            let mut phase = self.phase.subscribe();
            // In either case the caller goes on: without a lane, its start waits in the database.
            let _ = tokio::time::timeout(most, phase.wait_for(|phase| *phase == Phase::Awake)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_request_while_it_falls_asleep_wakes_it_and_an_older_one_does_not() {
        let idleness = Idleness::default();
        idleness.falls_asleep().await;
        idleness.note();
        idleness.woken().await;
        idleness.note();
        idleness.has_joined();
        assert!(!idleness.is_asleep() && !idleness.is_awake());
        idleness.is_up();
        assert!(idleness.is_awake());
        idleness.falls_asleep().await;
        let woken = tokio::time::timeout(Duration::from_millis(20), idleness.woken()).await;
        assert!(woken.is_err(), "the request was from before");
        tokio::join!(idleness.wake_up(LONG), async {
            idleness.woken().await;
            idleness.has_joined();
            idleness.is_up();
        });
        idleness.wake_up(LONG).await;
    }

    #[test]
    fn a_hold_keeps_it_awake() {
        let idleness = Idleness::default();
        let (before, hold) = (idleness.activity(), idleness.hold());
        assert!(idleness.is_held() && idleness.activity() != before);
        drop(hold);
        assert!(!idleness.is_held());
    }
}
