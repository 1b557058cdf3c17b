//! Calls whose effect and whose record are one transaction. Owns the order: begin, let the handler work,
//! decide, write the row, commit; and that whatever does not come to the end of it has had no effect. The
//! transaction is the store's.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::time::{Instant, sleep_until};

use super::call_end::{End, lost_call};
use crate::actor::commit::messages::{Committed, RolledBack};
use crate::actor::node::context::Node;
use crate::actor::node::waits::Wait;
use crate::participant::{DefaultRule, Scope};
use crate::place::Ticket;
use crate::saga::Law;
use crate::saga::definition::Call;
use crate::saga::event::{AttemptEnded, Event};
use crate::saga::outcome::{DecidedBy, Error, Outcome};
use crate::step_transaction;
use crate::store::{self, LaneId, Transition, Within};

/// Makes an attempt within a transaction of its own. Waiting for the transaction is no part of the attempt, which
/// begins with it. A success comes with the transaction, and counts once it is committed; anything else is rolled
/// back. What a handler committed by itself is not known here: then the outcome is unknown, whatever the handler said.
/// None: it was too late to begin when there was a transaction.
///
/// A call that is given up ends here, too: the handler is dropped, and its session is asked whether the transaction
/// was still the one that was begun. If the session does not say so in time, the step waits for a person.
pub(crate) async fn call(node: &Node, call: &Call, law: Law, scope: &Arc<Scope>, ticket: &Ticket) -> Option<End> {
    let name = format!("{}#{}", scope.key, scope.attempt);
    let wait = || Wait::of_call(scope, "one of the node's transactions".to_owned());
    let begun = node.waits.during(&node.lease.clock, wait, node.store.begin_within(&name, call.timeout_ms));
    let began = ticket.wait(begun).await?;
    if !ticket.begin() {
        // The task that called is being given up.
        return std::future::pending().await;
    }
    let until = Instant::now() + Duration::from_millis(call.timeout_ms);
    let within = match began {
        Ok(within) => within,
        Err(error) => {
            let rule = DefaultRule::NoTransaction;
            let outcome = Outcome::retryable(Error::new(rule.word(), error.to_string()), None);
            return Some(End::Attempt(outcome, Some(rule.decided())));
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

/// The end of a call that was given up, and that may have ended its transaction: a repeat could make its effect twice.
/// The first law knows no such end, and repeats the call.
pub(crate) fn not_asked(law: Law) -> End {
    if law == Law::V1 {
        return End::lost_attempt();
    }
    let rule = DefaultRule::TransactionEnded;
    let message = "the call was given up, and it is not known whether its handler ended its transaction";
    End::Attempt(Outcome::unknown(Error::new(rule.word(), message)), Some(rule.decided()))
}

/// What a transaction that was not committed comes to: a failure without effect, unless its handler ended it.
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

/// Writes the row of a success in its handler's transaction and commits both. In a task that nobody gives up:
/// its end must be known.
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

/// What happened instead of a success that was rolled back.
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
