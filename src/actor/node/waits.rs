//! Lists what waits on this node before it may begin: calls for a place, and sagas for a lone trial. The journal does
//! not show these waits. So each beat writes the list to the node's row, and `amends.waits` shows it. Owns only the
//! list; `residents` and `dispatch` do the waiting.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::lease_clock::LeaseClock;
use crate::config::actor as limits;
use crate::participant::Scope;
use crate::saga::definition::Millis;
use crate::saga::event::Direction;

/// One wait on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Wait {
    pub(crate) saga: Uuid,
    /// Step whose call waits; none if the whole saga waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) direction: Option<Direction>,
    /// What it waits for, in words: `a place at participant crm`.
    #[serde(rename = "for")]
    pub(crate) waits_for: String,
}

impl Wait {
    /// Returns the wait of a whole saga.
    pub(crate) fn of_saga(saga: Uuid, waits_for: &str) -> Self {
        Self { saga, step: None, direction: None, waits_for: waits_for.to_owned() }
    }

    /// Returns the wait of the call with this scope.
    pub(crate) fn of_call(scope: &Scope, waits_for: String) -> Self {
        Self { saga: scope.saga, step: Some(scope.step.to_string()), direction: Some(scope.direction), waits_for }
    }
}

/// List of waits.
#[derive(Debug, Default)]
pub struct Waits(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    next: u64,
    waits: BTreeMap<u64, (Millis, Wait)>,
}

/// Wait as written to the node's row.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    wait: &'a Wait,
    /// Start of the wait, in milliseconds since the Unix epoch.
    since: Millis,
}

impl Waits {
    /// Lists a wait until the guard is dropped.
    pub(crate) fn list(&self, clock: &LeaseClock, wait: Wait) -> Guard<'_> {
        let since = clock.now_ms();
        let mut listed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = listed.next;
        listed.next += 1;
        listed.waits.insert(number, (since, wait));
        Guard { list: self, number }
    }

    /// Waits for `needed`. Lists the wait if it takes longer than `WAIT_LISTED_MS`.
    pub(crate) async fn during<T>(
        &self,
        clock: &LeaseClock,
        wait: impl FnOnce() -> Wait,
        needed: impl Future<Output = T>,
    ) -> T {
        let mut needed = pin!(needed);
        // Most calls need not wait, and one poll is cheaper than a timer.
        if let Poll::Ready(done) = futures_util::poll!(&mut needed) {
            return done;
        }
        let soon = Duration::from_millis(limits::WAIT_LISTED_MS);
        match tokio::time::timeout(soon, &mut needed).await {
            Ok(done) => done,
            Err(_) => {
                let _listed = self.list(clock, wait());
                needed.await
            }
        }
    }

    /// Returns the oldest waits as JSON for the node's row, `WAITS_SHOWN_MAX` at most; none if nothing waits.
    pub(crate) fn json(&self) -> Option<String> {
        let listed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = listed.waits.values().take(limits::WAITS_SHOWN_MAX);
        let lines: Vec<Line<'_>> = oldest.map(|(since, wait)| Line { wait, since: *since }).collect();
        if lines.is_empty() { None } else { serde_json::to_string(&lines).ok() }
    }
}

/// Guard that keeps a wait on the list.
pub(crate) struct Guard<'a> {
    list: &'a Waits,
    number: u64,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let mut listed = self.list.0.lock().unwrap_or_else(PoisonError::into_inner);
        listed.waits.remove(&self.number);
    }
}
