//! Lists what waits on this node before it may begin: calls for a place, sagas for a lone trial. The journal does not
//! say that, so each beat writes the list to the node's row, and `amends.waits` shows it. Owns the list; each wait is
//! where its reason is.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::clock::Clock;
use crate::config::actor as limits;
use crate::participant::Scope;
use crate::saga::definition::Millis;
use crate::saga::event::Direction;

/// Something that waits on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Wait {
    pub(crate) saga: Uuid,
    /// The step whose call waits; none where the whole saga does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) direction: Option<Direction>,
    /// What it waits for, as people read it: `a place at participant crm`.
    #[serde(rename = "for")]
    pub(crate) waits_for: String,
}

impl Wait {
    /// The whole saga waits.
    pub(crate) fn of_saga(saga: Uuid, waits_for: &str) -> Self {
        Self { saga, step: None, direction: None, waits_for: waits_for.to_owned() }
    }

    /// The call that a scope is for waits.
    pub(crate) fn of_call(scope: &Scope, waits_for: String) -> Self {
        Self { saga: scope.saga, step: Some(scope.step.to_string()), direction: Some(scope.direction), waits_for }
    }
}

/// The list.
#[derive(Debug, Default)]
pub struct Waits(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    next: u64,
    waits: BTreeMap<u64, (Millis, Wait)>,
}

/// A wait as the node's row has it.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    wait: &'a Wait,
    /// Milliseconds of the Unix epoch.
    since: Millis,
}

impl Waits {
    /// Lists a wait until the guard is dropped.
    pub(crate) fn list(&self, clock: &Clock, wait: Wait) -> Guard<'_> {
        let since = clock.now_ms();
        let mut listed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = listed.next;
        listed.next += 1;
        listed.waits.insert(number, (since, wait));
        Guard { list: self, number }
    }

    /// Waits for what is needed; lists the wait if it is a long one.
    pub(crate) async fn during<T>(
        &self,
        clock: &Clock,
        wait: impl FnOnce() -> Wait,
        needed: impl Future<Output = T>,
    ) -> T {
        let mut needed = pin!(needed);
        // Hardly anything waits, and a timer costs more than a look.
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

    /// The oldest waits as JSON, for the node's row; none if nothing waits.
    pub(crate) fn json(&self) -> Option<String> {
        let listed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = listed.waits.values().take(limits::WAITS_SHOWN_MAX);
        let lines: Vec<Line<'_>> = oldest.map(|(since, wait)| Line { wait, since: *since }).collect();
        if lines.is_empty() { None } else { serde_json::to_string(&lines).ok() }
    }
}

/// Keeps a wait on the list.
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
