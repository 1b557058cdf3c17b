//! Calls whose effect and record are one transaction. Owns the order: begin, let the handler work, decide, write the
//! row, commit. A call that does not get to the commit has no effect, unless its handler ended the transaction.
//! Leaves the transaction to the store.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::time::{Instant, sleep_until};

use super::call_end::{End, lost_call};
use super::shortage;
use crate::actor::commit::messages::{Committed, RolledBack};
use crate::actor::node::context::Node;
use crate::actor::node::waits::Wait;
use crate::files;
use crate::participant::{DefaultRule, Scope};
use crate::place::Ticket;
use crate::saga::Law;
use crate::saga::definition::Call;
use crate::saga::event::{AttemptEnded, Event};
use crate::saga::outcome::{DecidedBy, Error, Outcome};
use crate::step_transaction;
use crate::store::{self, LaneId, Transition, Within};

/// Makes an attempt in a transaction of its own. The attempt begins once there is a transaction; waiting for one is
/// no part of it. Returns none if the transaction came too late for the attempt to begin.
///
/// A success is returned with its transaction, and counts once that is committed. Any other outcome is rolled back.
/// If the handler ended the transaction itself, the outcome is unknown, whatever the handler returned, since this
/// node does not know what was committed.
///
/// A call that is given up also ends here. The handler is dropped, and the session is asked whether the transaction
/// is still the one that was begun. If the session does not answer in time, the step waits for a person.
pub(crate) async fn call(node: &Node, call: &Call, law: Law, scope: &Arc<Scope>, ticket: &Ticket) -> Option<End> {
    let name = format!("{}#{}", scope.key, scope.attempt);
    let wait = || Wait::of_call(scope, "one of the node's transactions".to_owned());
    let begun = node.waits.during(&node.lease.clock, wait, node.store.begin_within(&name, call.timeout_ms));
    let began = ticket.wait(begun).await?;
    if !ticket.begin() {
        // The call was withdrawn: its task is about to be aborted.
        return std::future::pending().await;
    }
    let until = Instant::now() + Duration::from_millis(call.timeout_ms);
    let within = match began {
        Ok(within) => within,
        Err(error) => {
            let rule = DefaultRule::NoTransaction;
            let outcome = Outcome::retryable(Error::new(rule.word(), error.to_string()), None);
            let end = End::Attempt(outcome, Some(rule.decided()));
            let is_short = files::is_shortage(&error);
            return Some(if is_short { Box::pin(shortage::outlast(node, law, ticket, end)).await } else { end });
        }
    };
    let (outcome, decided_by) = tokio::select! {
        biased;
        answered = node.participants.execute_within(call, scope, within.transaction()) => answered,
        () = ticket.given_up() => lost_call(),
    };
    let over = async {
        tokio::select! {
            () = sleep_until(until) => {}
            () = ticket.given_up() => {}
        }
    };
    let rolled_back = match outcome {
        Outcome::Succeeded { .. } => match node.store.settle(within, over).await {
            Ok(within) => return Some(End::Within(outcome, decided_by, Box::new(within))),
            Err(rolled_back) => rolled_back,
        },
        Outcome::Failed { .. } | Outcome::Errored { .. } | Outcome::Pending { .. } | Outcome::Unknown { .. } => {
            match node.store.roll_back(within, over).await {
                Err(rolled_back) if rolled_back.known || ticket.is_given_up() => rolled_back,
                Ok(()) | Err(_) => return Some(End::Attempt(outcome, decided_by)),
            }
        }
    };
    if !rolled_back.known && ticket.is_given_up() {
        return Some(not_asked(law));
    }
    let (outcome, decided_by) = outcome_of(rolled_back);
    Some(End::Attempt(outcome, Some(decided_by)))
}

/// Returns the end of a call that was given up and may have ended its transaction. A repeat could have the effect
/// twice, so the step waits for a person. Law V1 has no such end, and repeats the call.
pub(crate) fn not_asked(law: Law) -> End {
    if law == Law::V1 {
        return End::lost_attempt();
    }
    let rule = DefaultRule::TransactionEnded;
    let message = "the call was given up, and it is not known whether its handler ended its transaction";
    End::Attempt(Outcome::unknown(Error::new(rule.word(), message)), Some(rule.decided()))
}

/// Returns the outcome of a transaction that was not committed: a failure without effect, unless the handler ended
/// it.
fn outcome_of(rolled_back: store::RolledBack) -> (Outcome, DecidedBy) {
    let store::RolledBack { code, message, retryable, .. } = rolled_back;
    let error = Error::new(code, message);
    let (outcome, rule) = match code {
        step_transaction::ENDED => (Outcome::unknown(error), DefaultRule::TransactionEnded),
        _ if retryable => (Outcome::retryable(error, None), DefaultRule::NotCommitted),
        step_transaction::KEPT => (Outcome::failed(error), DefaultRule::HandlerBrokeTransaction),
        _ => (Outcome::failed(error), DefaultRule::Rejected),
    };
    (outcome, rule.decided())
}

/// Writes the row of a success in its handler's transaction and commits both. Runs in a task that nothing aborts,
/// since its end must be known.
pub(crate) fn commit(
    node: &Arc<Node>,
    within: Box<Within>,
    lane: LaneId,
    row: Transition,
    written_to: Recipient<Committed>,
    undone_to: Recipient<RolledBack>,
) {
    let store = node.store.clone();
    node.work.spawn(async move {
        match store.commit_within(*within, lane, &row).await {
            Ok(written) => written_to.do_send(Committed(written)),
            Err(rolled_back) => undone_to.do_send(RolledBack(rolled_back)),
        }
    });
}

/// Returns the event of an attempt whose success was rolled back.
pub(crate) fn failed(event: Event, rolled_back: store::RolledBack) -> Event {
    match event {
        Event::AttemptEnded(end) => {
            let (outcome, decided_by) = outcome_of(rolled_back);
            Event::AttemptEnded(AttemptEnded { outcome, decided_by: Some(Box::new(decided_by)), ..end })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_asked_is_repeated_by_the_first_law_alone() {
        for (law, code) in [(Law::V1, DefaultRule::Lost.word()), (Law::V2, step_transaction::ENDED)] {
            let end = not_asked(law);
            assert_eq!(end.in_words(), ("unknown", Some(code)));
        }
    }
}
