//! Describes a saga's state in words that a model can relay to a person. The sentences hold no node names, no attempt
//! numbers, and nothing that could mislead a caller into acting. What participants and people said stands in quotes.

use crate::saga::Definition;
use crate::saga::definition::{Action, Effect};
use crate::saga::event::Direction;
use crate::saga::state::{Activity, Phase, State, StuckReason, TurnBack, Undone};

/// Says why a saga turned to compensation; none if it did not.
pub(super) fn turned_back(definition: &Definition, state: &State) -> Option<String> {
    Some(match state.turn_back.as_ref()? {
        TurnBack::StepFailed { step, error } => {
            format!("step {} failed with the error {}", name(definition, state, *step), quoted(&error.message))
        }
        TurnBack::Asked { by, reason } if reason.is_empty() => format!("{} cancelled it", who(by)),
        TurnBack::Asked { by, reason } => format!("{} cancelled it and said {}", who(by), quoted(reason)),
        TurnBack::Deadline => "its deadline passed".to_owned(),
        TurnBack::DriverLost => "its driver was not heard from in time".to_owned(),
    })
}

/// Says what a stuck saga waits for; none if the saga is not stuck.
pub(super) fn stuck(definition: &Definition, state: &State) -> Option<String> {
    let (step, direction, reason) = state.stuck()?;
    let step = name(definition, state, step);
    let what = match direction {
        Direction::Action => format!("step {step}"),
        Direction::Compensation => format!("undoing step {step}"),
    };
    Some(match reason {
        StuckReason::InDoubt => format!("it is unknown whether {what} took effect; a person has to find out"),
        StuckReason::Failed => format!("{what} failed for good; a person has to act"),
        StuckReason::ProcessDied => {
            format!("{what} crashed its process too often; a person has to look")
        }
    })
}

/// Says what is in progress: one sentence for each active step.
pub(super) fn under_way(definition: &Definition, state: &State) -> Vec<String> {
    let mut said = Vec::new();
    for (index, step) in state.steps.iter().enumerate() {
        let Phase::Active { direction, activity } = step.phase else { continue };
        let name = name(definition, state, index);
        let what = match direction {
            Direction::Action => name.clone(),
            Direction::Compensation => format!("undoing {name}"),
        };
        said.push(match activity {
            Activity::Attempting => format!("{what} is under way"),
            Activity::BackingOff { .. } => format!("{what} is tried again soon"),
            Activity::Probing | Activity::Settling { .. } | Activity::Unresolved { .. } => {
                format!("{what}: finding out whether it took effect")
            }
            Activity::Awaiting { .. } => format!("{what} waits for {}", awaited(definition, state, index)),
            Activity::Showing | Activity::Asking { .. } => format!("{what} waits for a person's approval"),
            Activity::Sleeping { .. } => format!("{what} waits for its time"),
        });
    }
    said
}

/// Names the steps that were done and then undone.
pub(super) fn undone(definition: &Definition, state: &State) -> Vec<String> {
    named(definition, state, |_, phase| matches!(phase, Phase::Undone(Undone::Compensated | Undone::ByHand)))
}

/// Names the steps whose effect is in place.
pub(super) fn in_place(definition: &Definition, state: &State) -> Vec<String> {
    named(definition, state, |index, phase| match phase {
        Phase::Undone(Undone::LeftInPlace) => true,
        Phase::Done => match &definition.step(state, index).action {
            Action::Call(call) => call.effect != Effect::ReadOnly && !state.steps[index].skipped_by_hand,
            Action::Await { .. } | Action::Sleep { .. } | Action::Approval { .. } => false,
        },
        Phase::Waiting
        | Phase::Deciding
        | Phase::Active { .. }
        | Phase::Skipped
        | Phase::Failed
        | Phase::Undone(Undone::Compensated | Undone::Nothing | Undone::ByHand)
        | Phase::Stuck { .. } => false,
    })
}

/// Counts the steps that are settled: done, skipped, failed or undone.
pub(super) fn settled(state: &State) -> usize {
    let is_settled = |phase: &Phase| match phase {
        Phase::Done | Phase::Skipped | Phase::Failed | Phase::Undone(_) => true,
        Phase::Waiting | Phase::Deciding | Phase::Active { .. } | Phase::Stuck { .. } => false,
    };
    state.steps.iter().filter(|step| is_settled(&step.phase)).count()
}

fn named(definition: &Definition, state: &State, is_named: impl Fn(usize, &Phase) -> bool) -> Vec<String> {
    let steps = state.steps.iter().enumerate();
    steps
        .filter(|(index, step)| is_named(*index, &step.phase))
        .map(|(index, _)| name(definition, state, index))
        .collect()
}

/// Puts what a participant or a person said into quotes, on one line. No text can end its own quotes.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns who asked, without the session in parentheses.
fn who(by: &str) -> &str {
    by.split_once(" (").map_or(by, |(name, _)| name)
}

fn awaited(definition: &Definition, state: &State, index: usize) -> String {
    match &definition.step(state, index).action {
        Action::Await { event, .. } => format!("event {event}"),
        Action::Call(_) | Action::Sleep { .. } | Action::Approval { .. } => "an answer from the participant".to_owned(),
    }
}

fn name(definition: &Definition, state: &State, index: usize) -> String {
    definition.planned(state, index).map_or_else(|| format!("#{index}"), |planned| planned.step.name.clone())
}

/// Formats an instant, in milliseconds since 1970, as RFC 3339.
pub(super) fn instant(at: u64) -> String {
    let at = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.map_or_else(String::new, |at| at.to_string())
}
