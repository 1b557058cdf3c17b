//! Who in this process waits for the end of which saga. Owns only that: an actor that sees an end here tells of it, the
//! herald of those that other nodes saw.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
pub struct Waiters(Mutex<Callers>);

#[derive(Debug, Default)]
struct Callers {
    by_saga: HashMap<Uuid, Waiting>,
    /// Nobody is here any more who could tell.
    closed: bool,
}

/// Those who wait for one saga.
#[derive(Debug, Default)]
struct Waiting {
    callers: Vec<oneshot::Sender<Ended>>,
    /// How often it was asked for those who wait long.
    asked: u32,
}

impl Waiters {
    /// Returns a future of the saga's end, if this process is the one that sees it.
    pub fn expect(&self, saga: Uuid) -> oneshot::Receiver<Ended> {
        let (sender, receiver) = oneshot::channel();
        let mut callers = self.lock();
        if !callers.closed {
            let those = &mut callers.by_saga.entry(saga).or_default().callers;
            those.retain(|waiter| !waiter.is_closed());
            those.push(sender);
        }
        receiver
    }

    /// Tells everybody who waits for the saga.
    pub fn tell(&self, saga: Uuid, ended: &Ended) {
        boundary::pass("saga: ended");
        let those = self.lock().by_saga.remove(&saga);
        for waiter in those.into_iter().flat_map(|those| those.callers) {
            // Who stopped waiting is not told.
            let _ = waiter.send(ended.clone());
        }
    }

    /// Lists sagas that somebody has waited for since the call before, and longer: at first each time, then each
    /// fourth.
    pub(crate) fn overdue(&self) -> Vec<Uuid> {
        let mut callers = self.lock();
        let sagas = callers.by_saga.iter_mut();
        let due = |those: &mut Waiting| {
            those.asked += 1;
            (2..=4).contains(&those.asked) || those.asked.is_multiple_of(4)
        };
        sagas.filter_map(|(saga, those)| due(those).then_some(*saga)).collect()
    }

    /// Lets callers go who wait for a saga that nobody knows: they find out themselves.
    pub(crate) fn release_unknown(&self, saga: Uuid) {
        self.lock().by_saga.remove(&saga);
    }

    /// Lets everybody go, now and later: the actors of this process are gone.
    pub fn close(&self) {
        *self.lock() = Callers { by_saga: HashMap::new(), closed: true };
    }

    /// Forgets callers who stopped waiting for the saga.
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
