//! Wake-ups inside a node: hints for actors that poll a table, and callers that wait for the end of a saga. A hint
//! saves a poll; losing one loses no work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use super::waiters::Waiters;

/// Wake-ups for the actors and callers of one node.
#[derive(Debug, Default)]
pub struct Wakeups {
    /// For actors that poll a table.
    pub hints: Hints,
    /// Callers that wait for the end of a saga.
    pub waiters: Waiters,
}

/// Hints for the actors of one node that poll a table.
#[derive(Debug, Default)]
pub struct Hints {
    looks: Notify,
    turns: Notify,
    events: Notify,
    reruns: Notify,
    timers: Notify,
    definitions: Notify,
    /// A lane found something to do since the last look.
    found: AtomicBool,
    ended: Mutex<Vec<Uuid>>,
}

impl Hints {
    /// Hints that there may be something for a look to find.
    pub(crate) fn ring_for_looks(&self) {
        self.looks.notify_one();
    }

    /// Waits for a hint that the node should look, for `pause` at most. Returns whether there was one.
    pub(crate) async fn looks(&self, pause: Duration) -> bool {
        tokio::time::timeout(pause, self.looks.notified()).await.is_ok()
    }

    /// Hints that a start may wait for its turn, or that a waiting start may have got a signal.
    pub fn ring_for_turns(&self) {
        self.turns.notify_one();
    }

    /// Hints that a saga has ended: it may have held a turn.
    pub(crate) fn ended(&self, saga: Uuid) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).push(saga);
        self.turns.notify_one();
    }

    /// Takes the sagas that have ended since the last call.
    pub(crate) fn take_ended(&self) -> Vec<Uuid> {
        std::mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for a hint about turns, for `pause` at most. Returns whether there was one.
    pub(crate) async fn turns(&self, pause: Duration) -> bool {
        tokio::time::timeout(pause, self.turns.notified()).await.is_ok()
    }

    /// Hints that a rerun was asked for.
    pub(crate) fn ring_for_reruns(&self) {
        self.reruns.notify_one();
    }

    /// Waits for a hint about reruns, for `pause` at most.
    pub(crate) async fn reruns(&self, pause: Duration) {
        // The caller looks in either case.
        let _ = tokio::time::timeout(pause, self.reruns.notified()).await;
    }

    /// Hints that a timer is due.
    pub(crate) fn ring_for_timers(&self) {
        self.timers.notify_one();
    }

    /// Waits for a hint about timers, for `pause` at most.
    pub(crate) async fn timers(&self, pause: Duration) {
        // The caller looks in either case.
        let _ = tokio::time::timeout(pause, self.timers.notified()).await;
    }

    /// Hints that there may be a new definition, or that an operator paused or resumed one.
    pub(crate) fn ring_for_definitions(&self) {
        self.definitions.notify_one();
    }

    /// Waits for a hint about definitions, for `pause` at most.
    pub(crate) async fn definitions(&self, pause: Duration) {
        // The caller looks in either case.
        let _ = tokio::time::timeout(pause, self.definitions.notified()).await;
    }

    /// Hints that a lane found something to do, so that there may soon be more.
    pub(crate) fn found(&self) {
        self.found.store(true, Ordering::Relaxed);
    }

    /// Returns whether a lane found something since the last call.
    pub(crate) fn take_found(&self) -> bool {
        self.found.swap(false, Ordering::Relaxed)
    }

    /// Hints that an event was written to the outbox, or that the relay has room for another.
    pub(crate) fn ring_for_events(&self) {
        self.events.notify_one();
    }

    /// Waits for a hint about the outbox, for `pause` at most.
    pub(crate) async fn events(&self, pause: Duration) {
        // The caller looks in either case.
        let _ = tokio::time::timeout(pause, self.events.notified()).await;
    }
}
