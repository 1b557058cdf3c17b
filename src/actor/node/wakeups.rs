//! Wake-ups inside a node: hints that there is something to look at, and the callers that wait for ends. A hint saves a
//! poll; nothing is lost with it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use super::waiters::Waiters;

/// What wakes actors and callers of one node.
#[derive(Debug, Default)]
pub struct Wakeups {
    /// For the actors that look at a table now and then.
    pub hints: Hints,
    /// Callers that wait for the end of a saga.
    pub waiters: Waiters,
}

/// Hints for the actors of one node that look at a table now and then.
#[derive(Debug, Default)]
pub struct Hints {
    turns: Notify,
    events: Notify,
    ended: Mutex<Vec<Uuid>>,
}

impl Hints {
    /// A start has come that waits for its turn, or something was asked of one.
    pub fn ring_for_turns(&self) {
        self.turns.notify_one();
    }

    /// A saga has ended that may have held a turn.
    pub(crate) fn ended(&self, saga: Uuid) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).push(saga);
        self.turns.notify_one();
    }

    /// What has ended since the last look.
    pub(crate) fn take_ended(&self) -> Vec<Uuid> {
        std::mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until there is something to look at, or for this long.
    pub(crate) async fn turns(&self, pause: Duration) {
        // Both mean: look.
        let _ = tokio::time::timeout(pause, self.turns.notified()).await;
    }

    /// Something was written to the outbox, or may be taken from it now.
    pub(crate) fn ring_for_events(&self) {
        self.events.notify_one();
    }

    /// The same for the outbox.
    pub(crate) async fn events(&self, pause: Duration) {
        // Both mean: look.
        let _ = tokio::time::timeout(pause, self.events.notified()).await;
    }
}
