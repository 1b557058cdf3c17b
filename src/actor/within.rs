//! Calls whose effect and whose record are one transaction. Owns the order: begin, let the handler work,
//! decide, write the row, commit; and that whatever does not come to the end of it has had no effect. The
//! transaction is the store's.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::time::Instant;

use super::committer::Committed;
use super::node::Node;
use super::saga_actor::SagaActor;
use super::waits::Wait;
use crate::participant::Scope;
use crate::place::Ticket;
use crate::saga::definition::Call;
use crate::saga::event::{AttemptEnded, Direction, Event};
use crate::saga::outcome::{Error, Outcome};
use crate::store::{LaneId, RolledBack, Transition, Within};
use crate::transaction;

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

/// Makes an attempt within a transaction of its own. Waiting for the transaction is no part of the attempt, which
/// begins with it. A success comes with the transaction, and counts once it is committed; anything else is rolled
/// back. What a handler committed by itself is not known here: then the outcome is unknown, whatever the handler said.
/// None: it was too late to begin when there was a transaction.
pub(super) async fn call(
    node: &Node,
    call: &Call,
    scope: &Arc<Scope>,
    ticket: &Ticket,
) -> Option<(Outcome, Option<Box<Within>>)> {
    let name = format!("{}#{}", scope.key, scope.attempt);
    let wait = || Wait::of_call(scope, "one of the node's transactions".to_owned());
    let begun = node.waits.during(&node.clock, wait, node.store.begin_within(&name, call.timeout_ms));
    let began = ticket.wait(begun).await?;
    if !ticket.begin() {
        // The task that called is being given up.
        return std::future::pending().await;
    }
    let until = Instant::now() + Duration::from_millis(call.timeout_ms);
    let within = match began {
        Ok(within) => within,
        Err(error) => return Some((again("no_transaction", error.to_string()), None)),
    };
    Some(match node.participants.execute_within(call, scope, within.transaction()).await {
        outcome @ Outcome::Succeeded { .. } => match node.store.settle(within, until).await {
            Ok(within) => (outcome, Some(Box::new(within))),
            Err(rolled_back) => (outcome_of(rolled_back), None),
        },
        outcome @ (Outcome::Failed { .. }
        | Outcome::Errored { .. }
        | Outcome::Pending { .. }
        | Outcome::Unknown { .. }) => match node.store.roll_back(within, until).await {
            Ok(()) => (outcome, None),
            Err(ended) => (outcome_of(ended), None),
        },
    })
}

fn again(code: &str, message: impl Into<String>) -> Outcome {
    Outcome::retryable(Error::new(code, message), None)
}

/// What a transaction that was not committed comes to: a failure without effect, unless its handler ended it.
fn outcome_of(rolled_back: RolledBack) -> Outcome {
    let RolledBack { code, message, retryable } = rolled_back;
    let error = Error::new(code, message);
    match code == transaction::ENDED {
        true => Outcome::unknown(error),
        false if retryable => Outcome::retryable(error, None),
        false => Outcome::failed(error),
    }
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
    match event {
        Event::AttemptEnded(end) => {
            Event::AttemptEnded(AttemptEnded { outcome: outcome_of(rolled_back), ..end })
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
