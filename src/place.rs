//! Places: limits how many calls may be under way at once, and records whether a waiting call has begun. Owns the
//! wait and the instant at which it ends. Making the call is left to the caller.
//!
//! A waiting call has done nothing yet, so the wait is no part of an attempt. The clock of the attempt starts with
//! [`Ticket::begin`]. A call that is given up before that is withdrawn and leaves nothing in doubt.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SetOnce};

/// A limit on the calls that may be under way at once.
pub(crate) struct Places {
    permits: Arc<Semaphore>,
    /// Returns the gauge of waiting calls. Only a call that waits asks for it.
    waiting: fn() -> metrics::Gauge,
}

/// One place. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Place(#[expect(dead_code, reason = "held, never read")] OwnedSemaphorePermit);

impl Places {
    pub(crate) fn new(count: usize, waiting: fn() -> metrics::Gauge) -> Self {
        Self { permits: Arc::new(Semaphore::new(count)), waiting }
    }

    /// Waits for a place without a limit, in the order of arrival. Dropping the future ends the wait.
    pub(crate) async fn take(&self) -> Place {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Place(permit);
        }
        let _waiting = Waiting::begin((self.waiting)());
        match self.permits.clone().acquire_owned().await {
            Ok(permit) => Place(permit),
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Counts one waiting call until it is dropped.
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

/// Whether a call has begun, and until when it may begin. The task that makes the call and the actor that may
/// withdraw it share the ticket. Only the first of [`Ticket::begin`] and [`Ticket::withdraw`] succeeds; the other
/// returns `false`.
#[derive(Debug, Default)]
pub(crate) struct Ticket {
    stage: Mutex<Stage>,
    /// The call must not begin at or after this instant.
    until: Option<Instant>,
    /// Set once the call is given up: its answer is not needed any more.
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
    /// Makes the ticket of a waiting call, which must begin before `until`.
    pub(crate) fn new(until: Option<Instant>) -> Self {
        Self { until, ..Self::default() }
    }

    /// Waits for what the call needs before it begins. If that comes too late, withdraws the call and returns none.
    pub(crate) async fn wait<T>(&self, needed: impl Future<Output = T>) -> Option<T> {
        let Some(until) = self.until else { return Some(needed.await) };
        let got = tokio::time::timeout_at(until.into(), needed).await.ok();
        // The time may be over even if what the call needs is ready at once.
        let got = got.filter(|_| Instant::now() < until);
        if got.is_none() {
            self.withdraw();
        }
        got
    }

    /// Begins the call: its clock runs from now on, and its outcome may be unknown. Returns `false` if the call was
    /// withdrawn; then the caller must do nothing.
    pub(crate) fn begin(&self) -> bool {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Stage::Waiting = *stage {
            *stage = Stage::Begun(Instant::now());
        }
        matches!(*stage, Stage::Begun(_))
    }

    /// Withdraws the call, unless it has begun. Returns `true` if it is withdrawn: it never begins, and nothing was
    /// done.
    pub(crate) fn withdraw(&self) -> bool {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Stage::Waiting = *stage {
            *stage = Stage::Withdrawn;
        }
        matches!(*stage, Stage::Withdrawn)
    }

    /// Takes a begun call back: nothing of it has left this process.
    pub(crate) fn take_back(&self) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = Stage::Withdrawn;
    }

    /// Gives up a call that has begun. The call then ends by itself.
    pub(crate) fn give_up(&self) {
        // It may have been given up before.
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
        begun.take_back();
        assert!(begun.withdraw() && !begun.begin() && begun.began().is_none());
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
