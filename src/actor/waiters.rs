//! Who in this process waits for the end of which saga. A hint like every message: who waits also asks the
//! database from time to time, since another node may run the saga.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::boundary;
use crate::saga::Json;
use crate::saga::state::Status;

/// How a saga ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// `completed`, `compensated` or `abandoned`.
    pub status: Status,
    /// The output, or why there is none.
    pub result: Json,
}

/// Waiting callers by saga.
#[derive(Debug, Default)]
pub struct Waiters(Mutex<HashMap<Uuid, Vec<oneshot::Sender<Ended>>>>);

impl Waiters {
    /// Returns a future of the saga's end, if this process is the one that sees it.
    pub fn expect(&self, saga: Uuid) -> oneshot::Receiver<Ended> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let those = waiting.entry(saga).or_default();
        those.retain(|waiter| !waiter.is_closed());
        those.push(sender);
        receiver
    }

    /// Tells everybody who waits for the saga.
    pub fn tell(&self, saga: Uuid, ended: &Ended) {
        boundary::pass("saga: ended");
        let those = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&saga);
        for waiter in those.into_iter().flatten() {
            // Who stopped waiting is not told.
            let _ = waiter.send(ended.clone());
        }
    }

    /// Forgets callers who stopped waiting for the saga.
    pub fn forget(&self, saga: Uuid) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(those) = waiting.get_mut(&saga) {
            those.retain(|waiter| !waiter.is_closed());
            if those.is_empty() {
                waiting.remove(&saga);
            }
        }
    }
}
