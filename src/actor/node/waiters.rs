//! Callers in this process that wait for the end of a saga. Owns only the list. The saga's actor reports an end that
//! happens here; `maintenance/completion_poller.rs` reports one from another node.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
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
pub struct Waiters {
    callers: Mutex<Callers>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Callers {
    by_saga: HashMap<Uuid, Waiting>,
    /// Set once the actors of this process are gone: no end can be reported any more.
    closed: bool,
}

/// Callers that wait for one saga.
#[derive(Debug, Default)]
struct Waiting {
    callers: Vec<oneshot::Sender<Ended>>,
    /// How often [`Waiters::overdue`] has seen this entry.
    asked: u32,
}

impl Waiters {
    /// Returns a future of the saga's end. The future fails if the list is closed, or if no saga has this id.
    pub fn expect(&self, saga: Uuid) -> oneshot::Receiver<Ended> {
        let (sender, receiver) = oneshot::channel();
        let mut callers = self.lock();
        if !callers.closed {
            let those = &mut callers.by_saga.entry(saga).or_default().callers;
            those.retain(|waiter| !waiter.is_closed());
            those.push(sender);
            self.came.notify_one();
        }
        receiver
    }

    /// Tells the end to every caller that waits for the saga.
    pub fn tell(&self, saga: Uuid, ended: &Ended) {
        boundary::pass("saga: ended");
        let those = self.lock().by_saga.remove(&saga);
        for waiter in those.into_iter().flat_map(|those| those.callers) {
            // The caller may have stopped waiting.
            let _ = waiter.send(ended.clone());
        }
    }

    /// Returns the sagas that callers have waited for since an earlier call of this function. A saga is left out at
    /// its first call, returned at the next three, then at every fourth call.
    pub(crate) fn overdue(&self) -> Vec<Uuid> {
        let mut callers = self.lock();
        let sagas = callers.by_saga.iter_mut();
        let due = |those: &mut Waiting| {
            those.asked += 1;
            (2..=4).contains(&those.asked) || those.asked.is_multiple_of(4)
        };
        sagas.filter_map(|(saga, those)| due(those).then_some(*saga)).collect()
    }

    /// Waits until there is a caller that waits.
    pub(crate) async fn come(&self) {
        while !self.are_there() {
            self.came.notified().await;
        }
    }

    /// Whether any caller waits.
    pub(crate) fn are_there(&self) -> bool {
        !self.lock().by_saga.is_empty()
    }

    /// Releases the callers of a saga that does not exist. Their futures fail, and each caller finds out by itself.
    pub(crate) fn release_unknown(&self, saga: Uuid) {
        self.lock().by_saga.remove(&saga);
    }

    /// Releases all callers, now and later: the actors of this process are gone.
    pub fn close(&self) {
        *self.lock() = Callers { by_saga: HashMap::new(), closed: true };
    }

    /// Forgets callers that stopped waiting for the saga.
    pub fn forget(&self, saga: Uuid) {
        let mut callers = self.lock();
        if let Some(those) = callers.by_saga.get_mut(&saga) {
            those.callers.retain(|waiter| !waiter.is_closed());
            if those.callers.is_empty() {
                callers.by_saga.remove(&saga);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Callers> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
