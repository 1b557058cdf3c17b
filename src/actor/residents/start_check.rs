//! Checks whether a saga that was started by SQL may begin. Only a node can check its input and its definition, and
//! only before anything was done. Owns the refusal of a saga that may not begin.

use crate::actor::node::context::Node;
use crate::actor::node::definitions::Pinned;
use crate::saga::command::Command;
use crate::saga::event::{ApprovalShown, AttemptEnded, ConditionDecided, Decision, Event, Request, Requested, Showing};
use crate::saga::outcome::{DecidedBy, Error, Outcome};
use crate::saga::state::State;
use crate::saga::{Law, outstanding};

/// Refusal of a saga.
#[derive(Default)]
pub(crate) struct Refusal {
    /// Events that refuse the saga; empty if it may go on.
    pub(crate) events: Vec<Event>,
    /// Set if no node begins such a saga, so that nothing was done. Otherwise a node with other settings may have
    /// begun it, and the effect of that is in doubt.
    pub(crate) never_begun: bool,
}

/// Checks a saga that was just claimed.
pub(crate) fn check_fresh(pinned: &Pinned, node: &Node, state: &State, _: i32) -> Refusal {
    match pinned.check_start(&state.input) {
        Ok(()) => Refusal::default(),
        Err(faults) => Refusal { events: refuse(node, state, &faults), never_begun: true },
    }
}

/// Checks a saga whose owner may have died before it checked the saga itself.
pub(crate) fn check_lost(pinned: &Pinned, node: &Node, state: &State, seq: i32) -> Refusal {
    if seq > 1 || state.law == Law::V1 {
        return Refusal::default();
    }
    match pinned.check_start(&state.input) {
        Ok(()) => Refusal::default(),
        Err(faults) if pinned.never_starts(&state.input) => {
            Refusal { events: refuse(node, state, &faults), never_begun: true }
        }
        Err(faults) => Refusal { events: vec![cancel(node, &faults)], never_begun: false },
    }
}

fn cancel(node: &Node, faults: &[String]) -> Event {
    let request = Request::Cancel { reason: reason(faults) };
    let (at, by) = (node.lease.clock.now_ms(), "amends".to_owned());
    Event::Requested(Requested { at, asked_at: None, signal: 0, by, by_starter: false, request })
}

fn reason(faults: &[String]) -> String {
    format!("the start is refused: {}", faults.join("; "))
}

/// Cancels a saga that may not start: its definition does not accept the input, or has faults for which new sagas are
/// refused. Its first commands fail before any call.
fn refuse(node: &Node, state: &State, faults: &[String]) -> Vec<Event> {
    let at = node.lease.clock.now_ms();
    let error = Error::new("input", reason(faults));
    let failed = |command| match command {
        Command::Decide { step } => {
            Event::ConditionDecided(ConditionDecided { at, step, decision: Decision::Failed(error.clone()) })
        }
        Command::Show { step } => {
            Event::ApprovalShown(ApprovalShown { at, step, showing: Showing::Failed(error.clone()) })
        }
        Command::Execute { step, direction, attempt, .. } | Command::Probe { step, direction, probe: attempt, .. } => {
            let outcome = Outcome::failed(error.clone());
            Event::AttemptEnded(AttemptEnded {
                at,
                step,
                direction,
                attempt,
                outcome,
                decided_by: Some(Box::new(DecidedBy::new("input", None))),
                jitter: 0.0,
            })
        }
    };
    std::iter::once(cancel(node, faults)).chain(outstanding(state).into_iter().map(failed)).collect()
}
