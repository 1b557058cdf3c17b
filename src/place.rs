//! Places: how many calls may be under way at once, and whether a call that waits for its place has begun. Owns the
//! wait and the moment at which it is over; what is called is left to the rooms that call.
//!
//! A call that waits has done nothing yet. So the wait is no part of an attempt: the clock of the attempt starts with
//! [`Ticket::begin`], and a call that is given up before then is withdrawn, which leaves nothing in doubt.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SetOnce};

/// How many calls may be under way at once.
pub(crate) struct Places {
    permits: Arc<Semaphore>,
    /// Finds the gauge of calls that wait; asked for only by a call that does.
    waiting: fn() -> metrics::Gauge,
}

/// One place; dropped, it is free.
#[derive(Debug)]
pub(crate) struct Place(#[expect(dead_code, reason = "held, never read")] OwnedSemaphorePermit);

impl Places {
    pub(crate) fn new(count: usize, waiting: fn() -> metrics::Gauge) -> Self {
        Self { permits: Arc::new(Semaphore::new(count)), waiting }
    }

    /// Waits for a place, in the order of arrival, however long that takes. Dropping the future ends the wait.
    pub(crate) async fn take(&self) -> Place {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Place(permit);
        }
        let _waiting = Waiting::begin((self.waiting)());
        match self.permits.clone().acquire_owned().await {
            Ok(permit) => Place(permit),
            // The places are never closed.
            Err(_) => std::future::pending().await,
        }
    }
}

/// One call that waits, counted as long as it does.
struct Waiting(metrics::Gauge);

impl Waiting {
    fn begin(gauge: metrics::Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Whether a call has begun, and until when it may. Shared by the task that makes the call and the actor that may take
/// it back: exactly one of [`Ticket::begin`] and [`Ticket::withdraw`] comes first, and the other answers `false`.
#[derive(Debug, Default)]
pub(crate) struct Ticket {
    stage: Mutex<Stage>,
    /// A call that has not begun by then must not begin any more.
    until: Option<Instant>,
    /// Set once: nothing waits for the call's answer any more.
    given_up: SetOnce<()>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    #[default]
    Waiting,
    Begun(Instant),
    Withdrawn,
}

impl Ticket {
    /// A call that waits, until then at the latest.
    pub(crate) fn new(until: Option<Instant>) -> Self {
        Self { until, ..Self::default() }
    }

    /// Waits for what the call needs before it begins. None if that comes too late: then it is withdrawn.
    pub(crate) async fn wait<T>(&self, needed: impl Future<Output = T>) -> Option<T> {
        let Some(until) = self.until else { return Some(needed.await) };
        let got = tokio::time::timeout_at(until.into(), needed).await.ok();
        // What is ready at once comes too late all the same.
        let got = got.filter(|_| Instant::now() < until);
        if got.is_none() {
            self.withdraw();
        }
        got
    }

    /// Begins the call: from now on its time runs, and its outcome may be unknown. `false`: it was withdrawn, so
    /// nothing may be done.
    pub(crate) fn begin(&self) -> bool {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Stage::Waiting = *stage {
            *stage = Stage::Begun(Instant::now());
        }
        matches!(*stage, Stage::Begun(_))
    }

    /// Takes the call back, unless it has begun. `true`: it never begins, and nothing was done.
    pub(crate) fn withdraw(&self) -> bool {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Stage::Waiting = *stage {
            *stage = Stage::Withdrawn;
        }
        matches!(*stage, Stage::Withdrawn)
    }

    /// Gives up a call that has begun and that ends by itself then.
    pub(crate) fn give_up(&self) {
        // A second time says nothing new.
        let _ = self.given_up.set(());
    }

    /// Waits until the call is given up.
    pub(crate) async fn given_up(&self) {
        self.given_up.wait().await;
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.initialized()
    }

    /// Returns when the call began.
    pub(crate) fn began(&self) -> Option<Instant> {
        match *self.stage.lock().unwrap_or_else(PoisonError::into_inner) {
            Stage::Begun(at) => Some(at),
            Stage::Waiting | Stage::Withdrawn => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_begins_or_is_withdrawn_never_both() {
        let begun = Ticket::default();
        assert!(begun.began().is_none() && begun.begin() && begun.began().is_some());
        assert!(!begun.withdraw() && begun.begin());
        let withdrawn = Ticket::default();
        assert!(withdrawn.withdraw() && !withdrawn.begin());
        assert!(withdrawn.withdraw() && withdrawn.began().is_none());
    }

    #[tokio::test]
    async fn a_call_whose_time_is_over_is_withdrawn_whatever_it_waits_for() {
        let over = Ticket::new(Some(Instant::now()));
        assert!(over.wait(std::future::ready(())).await.is_none() && !over.begin());
        let soon = Ticket::new(Some(Instant::now() + std::time::Duration::from_millis(1)));
        assert!(soon.wait(std::future::pending::<()>()).await.is_none() && !soon.begin());
        let unbounded = Ticket::default();
        assert!(unbounded.wait(std::future::ready(())).await.is_some() && unbounded.begin());
    }

    #[tokio::test]
    async fn places_are_given_one_after_the_other() {
        let places = Places::new(1, metrics::Gauge::noop);
        let first = places.take().await;
        let mut second = Box::pin(places.take());
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        assert!(futures_util::poll!(&mut second).is_ready());
    }
}
