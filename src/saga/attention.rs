//! Steps that a person has to look at: steps in doubt and stuck steps, with the evidence and the legal verbs. Owns
//! the selection. Other rooms show it.

use super::definition::{Action, Millis};
use super::event::Direction;
use super::outcome::Error;
use super::plan::Definition;
use super::request::legal_verbs;
use super::state::{Activity, Phase, State, StepState, StuckReason};
use super::traits::Traits;
use super::transition_context::in_doubt;

/// A step that is in doubt or stuck.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Name of the step.
    pub step: String,
    /// Action or compensation.
    pub direction: Direction,
    /// It is unknown whether the call took effect.
    pub in_doubt: bool,
    /// Why the step needs a person. None while the runtime still has ways to resolve the doubt.
    pub stuck: Option<StuckReason>,
    /// When the step became stuck; if it is not stuck, when its doubt began.
    pub since: Millis,
    /// Attempts so far.
    pub attempts: u32,
    /// Probes so far.
    pub probes: u32,
    /// Generation of the idempotency key of the last attempt.
    pub generation: u32,
    /// The last error.
    pub error: Option<Error>,
    /// Verbs that are legal for the step or the whole saga, as an operator types them.
    pub legal: Vec<String>,
}

/// Returns the steps in doubt or stuck. Cheap when there are none; otherwise it costs about one transition for each
/// verb.
pub fn attention(definition: &Definition, state: &State) -> Vec<Attention> {
    let under_way = state.steps.having(Traits::UNDER_WAY);
    let mut found: Vec<Attention> =
        under_way.filter_map(|index| of_step(definition, state, index, &state.steps[index])).collect();
    if found.is_empty() || state.end().is_some() {
        return Vec::new();
    }
    let legal = legal_verbs(definition, state, state.at);
    for one in &mut found {
        let concerns = |verb: &&String| {
            let mut words = verb.split(' ').skip(1);
            words.next().is_none_or(|about| about == one.step || is_event_of(one, about))
        };
        one.legal = legal.iter().filter(concerns).cloned().collect();
    }
    found
}

/// Returns whether this event reports the pending compensation of the step.
fn is_event_of(one: &Attention, event: &str) -> bool {
    event.strip_suffix(".compensation") == Some(&one.step)
}

fn of_step(definition: &Definition, state: &State, index: usize, one: &StepState) -> Option<Attention> {
    let (direction, stuck) = match one.phase {
        // A pending call without a probe waits for an event, and so does an approval. That is a wait, not a doubt.
        Phase::Active {
            activity:
                Activity::Awaiting { .. } | Activity::Sleeping { .. } | Activity::Showing | Activity::Asking { .. },
            ..
        } => return None,
        Phase::Active { direction, .. } => (direction, None),
        Phase::Stuck { direction, reason } => (direction, Some(reason)),
        Phase::Waiting | Phase::Deciding | Phase::Skipped | Phase::Done | Phase::Failed | Phase::Undone(_) => {
            return None;
        }
    };
    let tally = one.tally(direction);
    if tally.evidence().doubt_at.is_none() && stuck.is_none() {
        return None;
    }
    let planned = definition.step(state, index);
    let call = match (direction, &planned.action) {
        (Direction::Compensation, _) => planned.compensation.as_ref(),
        (Direction::Action, Action::Call(call)) => Some(call),
        (Direction::Action, Action::Await { .. } | Action::Sleep { .. } | Action::Approval { .. }) => None,
    };
    let doubt_at = tally.evidence().doubt_at.filter(|_| in_doubt(state.law, call, tally));
    let since = match stuck {
        Some(_) => one.since,
        None => Some(doubt_at?),
    };
    Some(Attention {
        step: planned.name.clone(),
        direction,
        in_doubt: doubt_at.is_some(),
        stuck,
        since: since.unwrap_or(state.at),
        attempts: tally.attempts,
        probes: tally.probes,
        generation: tally.generation,
        error: tally.error.as_deref().cloned(),
        legal: Vec::new(),
    })
}
