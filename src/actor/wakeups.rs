//! Rung when there is something to look at now: a hint that saves a poll, and nothing is lost with it. Owns what
//! was said since the last look; looking is the usher's and the relay's.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

/// Hints for the actors of one node that look at a table now and then.
#[derive(Debug, Default)]
pub struct Wakeups {
    turns: Notify,
    events: Notify,
    ended: Mutex<Vec<Uuid>>,
}

impl Wakeups {
    /// A start has come that waits for its turn, or something was asked of one.
    pub fn ring_for_turns(&self) {
        self.turns.notify_one();
    }

    /// A saga has ended that may have held a turn.
    pub(super) fn ended(&self, saga: Uuid) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).push(saga);
        self.turns.notify_one();
    }

    /// What has ended since the last look.
    pub(super) fn take_ended(&self) -> Vec<Uuid> {
        std::mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until there is something to look at, or for this long.
    pub(super) async fn turns(&self, pause: Duration) {
        // Both mean: look.
        let _ = tokio::time::timeout(pause, self.turns.notified()).await;
    }

    /// Something was written to the outbox, or may be taken from it now.
    pub(super) fn ring_for_events(&self) {
        self.events.notify_one();
    }

    /// The same for the outbox.
    pub(super) async fn events(&self, pause: Duration) {
        // Both mean: look.
        let _ = tokio::time::timeout(pause, self.events.notified()).await;
    }
}
