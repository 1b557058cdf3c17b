//! Calls whose effect and whose record are one transaction. Owns the order: begin, let the handler work,
//! decide, write the row, commit; and that whatever does not come to the end of it has had no effect. The
//! transaction is the store's.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::committer::Committed;
use super::node::Node;
use super::saga_actor::SagaActor;
use crate::participant::Scope;
use crate::saga::definition::Call;
use crate::saga::event::{AttemptEnded, Direction, Event};
use crate::saga::outcome::{Error, Outcome};
use crate::store::{LaneId, RolledBack, Transition, Within};

/// The transaction of a row was rolled back: there is neither a row nor an effect.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Undone(pub(super) RolledBack);

/// Transactions whose handler has succeeded, until the success is decided. Dropped, they are rolled back.
#[derive(Default)]
pub(super) struct Enlisted(Vec<(Attempt, Box<Within>)>);

/// Which attempt: step, direction and number.
type Attempt = (usize, Direction, u32);

impl Enlisted {
    pub(super) fn add(&mut self, event: &Event, within: Box<Within>) {
        if let Some(attempt) = attempt_of(event) {
            self.0.push((attempt, within));
        }
    }

    /// Takes the transaction in which an event is to be recorded.
    pub(super) fn take(&mut self, event: &Event) -> Option<Box<Within>> {
        if self.0.is_empty() {
            return None;
        }
        let attempt = attempt_of(event)?;
        let place = self.0.iter().position(|(of, _)| *of == attempt)?;
        Some(self.0.swap_remove(place).1)
    }
}

fn attempt_of(event: &Event) -> Option<Attempt> {
    match event {
        Event::AttemptEnded(end) => Some((end.step, end.direction, end.attempt)),
        Event::Started(_)
        | Event::ConditionDecided(_)
        | Event::ApprovalShown(_)
        | Event::ProbeAnswered(_)
        | Event::TimerFired(_)
        | Event::OwnerLost(_)
        | Event::Withdrawn(_)
        | Event::Requested(_)
        | Event::RequestRefused(_) => None,
    }
}

/// Makes an attempt within a transaction of its own. A success comes with the transaction, and counts once it
/// is committed; anything else is rolled back.
pub(super) async fn call(node: &Node, call: &Call, scope: &Arc<Scope>) -> (Outcome, Option<Box<Within>>) {
    let time = Duration::from_millis(call.timeout_ms);
    let name = format!("{}#{}", scope.key, scope.attempt);
    let began = tokio::time::timeout(time, node.store.begin_within(&name, call.timeout_ms)).await;
    let within = match began {
        Ok(Ok(within)) => within,
        Ok(Err(error)) => return (again("no_transaction", error.to_string()), None),
        Err(_) => return (again("no_transaction", "no connection within the time of an attempt"), None),
    };
    match node.participants.execute_within(call, scope, within.transaction()).await {
        outcome @ Outcome::Succeeded { .. } => (outcome, Some(Box::new(within))),
        outcome @ (Outcome::Failed { .. }
        | Outcome::Errored { .. }
        | Outcome::Pending { .. }
        | Outcome::Unknown { .. }) => {
            node.store.roll_back(within).await;
            (outcome, None)
        }
    }
}

fn again(code: &str, message: impl Into<String>) -> Outcome {
    Outcome::retryable(Error::new(code, message), None)
}

/// Writes the row of a success in its handler's transaction and commits both. In a task that nobody gives up:
/// its end must be known.
pub(super) fn commit(
    node: &Arc<Node>,
    within: Box<Within>,
    lane: LaneId,
    row: Transition,
    from: Addr<SagaActor>,
) {
    let store = node.store.clone();
    node.work.spawn(async move {
        match store.commit_within(*within, lane, &row).await {
            Ok(written) => from.do_send(Committed(written)),
            Err(rolled_back) => from.do_send(Undone(rolled_back)),
        }
    });
}

/// What happened instead of a success that was rolled back.
pub(super) fn failed(event: Event, rolled_back: RolledBack) -> Event {
    let RolledBack { code, message, retryable } = rolled_back;
    match event {
        Event::AttemptEnded(end) => {
            let error = Error::new(code, message);
            let outcome = if retryable { Outcome::retryable(error, None) } else { Outcome::failed(error) };
            Event::AttemptEnded(AttemptEnded { outcome, ..end })
        }
        other @ (Event::Started(_)
        | Event::ConditionDecided(_)
        | Event::ApprovalShown(_)
        | Event::ProbeAnswered(_)
        | Event::TimerFired(_)
        | Event::OwnerLost(_)
        | Event::Withdrawn(_)
        | Event::Requested(_)
        | Event::RequestRefused(_)) => other,
    }
}
