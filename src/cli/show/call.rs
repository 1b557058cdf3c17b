//! Facts about a call, except its outcome: the idempotency key of the call, and the rule that decided the outcome.
//!
//! Leaves the text of keys to the core and the meaning of rules to `participant`.

use serde::Serialize;
use uuid::Uuid;

use crate::participant::DefaultRule;
use crate::saga::command::Command;
use crate::saga::event::{AttemptEnded, Direction, Event, ProbeAnswered};
use crate::saga::key::Key;
use crate::saga::outcome::{DecidedBy, Outcome};
use crate::saga::state::{Phase, State};
use crate::saga::{Definition, Law, outstanding};

/// An attempt that was lost with its process.
#[derive(Debug, Serialize)]
pub(super) struct Lost {
    pub(super) step: String,
    pub(super) direction: Direction,
    pub(super) attempt: u32,
    /// The idempotency key of the attempt. The participant may never have received it.
    pub(super) key: String,
    /// The rule that decided the outcome.
    pub(super) rule: &'static str,
}

/// Returns the attempts that an event ends without an answer of their participants.
pub(super) fn lost(saga: Uuid, definition: &Definition, before: &State, event: &Event) -> Vec<Lost> {
    let Event::OwnerLost(_) = event else { return Vec::new() };
    let commands = outstanding(before).into_iter();
    let lost = commands.filter_map(|command| match command {
        Command::Execute { step, direction, attempt, .. } => Some(Lost {
            step: definition.planned(before, step)?.name.to_string(),
            direction,
            attempt,
            key: key(saga, definition, before, step, direction)?,
            rule: DefaultRule::ProcessDied.word(),
        }),
        Command::Decide { .. } | Command::Show { .. } | Command::Probe { .. } => None,
    });
    lost.collect()
}

/// Returns the idempotency key of the attempt that an event ends.
pub(super) fn key_of_end(saga: Uuid, definition: &Definition, before: &State, event: &Event) -> Option<String> {
    let Event::AttemptEnded(AttemptEnded { step, direction, .. }) = event else { return None };
    key(saga, definition, before, *step, *direction)
}

/// Returns the idempotency key of a step's call that is in progress or stuck.
pub(super) fn key_under_way(saga: Uuid, definition: &Definition, state: &State, step: usize) -> Option<String> {
    match state.steps.get(step)?.phase {
        Phase::Active { direction, .. } | Phase::Stuck { direction, .. } => {
            key(saga, definition, state, step, direction)
        }
        Phase::Waiting | Phase::Deciding | Phase::Skipped | Phase::Done | Phase::Failed | Phase::Undone(_) => None,
    }
}

/// Returns the idempotency key of the last attempt of a call. Returns `None` if there was no attempt.
fn key(saga: Uuid, definition: &Definition, state: &State, step: usize, direction: Direction) -> Option<String> {
    let tally = state.steps.get(step)?.tally(direction);
    let name = &definition.planned(state, step)?.name;
    let generation = tally.generation;
    (tally.attempts > 0).then(|| Key { saga, step: name, direction, generation }.text(state.law))
}

/// Returns the rule that decided the outcome of an attempt or the answer of a probe. Returns `None` if an older
/// version recorded no rule.
pub(super) fn decided_by(definition: &Definition, before: &State, event: &Event) -> Option<DecidedBy> {
    match event {
        Event::AttemptEnded(AttemptEnded { decided_by: Some(by), .. })
        | Event::ProbeAnswered(ProbeAnswered { decided_by: Some(by), .. }) => Some((**by).clone()),
        Event::AttemptEnded(end) if matches!(end.outcome, Outcome::Succeeded { .. }) => {
            plain_success(definition, before, end.step, end.direction)
        }
        Event::Started(_)
        | Event::ConditionDecided(_)
        | Event::ApprovalShown(_)
        | Event::AttemptEnded(_)
        | Event::ProbeAnswered(_)
        | Event::TimerFired(_)
        | Event::OwnerLost(_)
        | Event::Withdrawn(_)
        | Event::Requested(_)
        | Event::RequestRefused(_) => None,
    }
}

/// Returns the rule of a success without a recorded rule. Returns `None` under the first law, because the version
/// that wrote the journal may have recorded no rules at all.
fn plain_success(definition: &Definition, before: &State, step: usize, direction: Direction) -> Option<DecidedBy> {
    let planned = definition.planned(before, step).filter(|_| before.law > Law::V1)?;
    let call = planned.step.call(direction)?;
    DefaultRule::of_plain_success(&call.target).map(DefaultRule::decided)
}
