//! Reruns: a new saga that goes on from a step of an ended saga. Owns the rules for when that is safe. The steps
//! before it must have known outcomes in place. The steps that run again must have left no effect. No other saga may
//! undo what the new saga takes over.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Json;
use super::definition::{Action, Effect};
use super::event::{Direction, Started};
use super::law::Law;
use super::plan::{self, Definition};
use super::state::{Activity, Origin, Phase, State, StepState, Undone};
use super::steps::Steps;
use super::transition::IllegalEvent;

/// Start of a rerun: the new saga takes over outcomes of an ended saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rerun {
    /// The ended saga. It can be taken over once at most.
    pub of: Uuid,
    /// Name of the step from which everything runs again.
    pub from: String,
    /// Name of the caller, as the database knows it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Outcomes that the new saga takes over.
    pub outcomes: Vec<TakenOver>,
}

/// Outcome of one step of the ended saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakenOver {
    /// Index of the step.
    pub step: usize,
    /// Effect of the step. None if its `when` was false.
    pub effect: Option<Inherited>,
}

/// An effect that is in place, with the key that its participant knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inherited {
    /// The action's output.
    pub output: Json,
    /// An operator skipped the step: its action was not called, so there is nothing to undo.
    pub by_hand: bool,
    /// Saga of the action's idempotency key: the saga that made the call, even after several reruns.
    pub saga: Uuid,
    /// Generation of that key.
    pub generation: u32,
    /// Law of that key.
    #[serde(default, skip_serializing_if = "Law::is_first")]
    pub law: Law,
}

/// Returns what a new saga takes over from this saga when it goes on from a step. Refuses a rerun that would repeat
/// an effect, or that would leave an unknown one behind.
pub fn take_over(
    definition: &Definition,
    saga: Uuid,
    state: &State,
    from: &str,
) -> Result<Vec<TakenOver>, IllegalEvent> {
    if state.end().is_none() {
        let what = format!("expected an ended saga, found one that is {}; wait until it has ended", state.status());
        return Err(IllegalEvent::new(what));
    }
    if definition.lease_ms().is_some() {
        return Err(IllegalEvent::new("the saga was open, so its driver has the plan; start another saga"));
    }
    if definition.draft().concurrency.is_some() {
        return Err(IllegalEvent::new("sagas of this definition take turns, and a rerun would not wait for its turn"));
    }
    let Some(first) = definition.index_of(state, from) else {
        let known: Vec<_> = definition.steps().iter().map(|planned| &*planned.name).collect();
        let what = format!("the saga has no step {from:?}; its steps are {}", known.join(", "));
        return Err(IllegalEvent::new(what));
    };
    let to_run = steps_to_run(definition, state, first);
    for (index, one) in state.steps.iter().enumerate() {
        let name = &definition.step(state, index).name;
        if to_run.contains(&index) && !leaves_nothing(definition, state, index) {
            let what = format!("step {name:?} {}; in a rerun it would be done twice", left(one));
            return Err(IllegalEvent::new(what));
        }
        if to_run.contains(&index) && index != first && comes_before(definition, state, index, first) {
            let what = format!("step {name:?} comes before {from:?}, and no outcome of it is in place to take over");
            return Err(IllegalEvent::new(what));
        }
    }
    Ok((0..state.steps.len())
        .filter(|index| !to_run.contains(index))
        .map(|step| TakenOver { step, effect: inherited(Origin { saga, law: state.law }, &state.steps[step]) })
        .collect())
}

/// Returns the names of the steps from which a new saga may go on.
pub fn rerunnable(definition: &Definition, saga: Uuid, state: &State) -> Vec<String> {
    let names = definition.steps().iter().map(|planned| planned.step.name.clone());
    names.filter(|name| take_over(definition, saga, state, name).is_ok()).collect()
}

/// Returns the steps of a saga at its start: all waiting, except those with an outcome that is taken over.
pub(super) fn first_steps(definition: &Definition, started: &Started) -> Steps {
    let mut steps = Steps::waiting(definition.kinds());
    let outcomes = started.rerun.iter().flat_map(|rerun| &rerun.outcomes);
    for TakenOver { step, effect } in outcomes {
        if *step >= steps.len() {
            continue;
        }
        steps.change(*step, |one| {
            one.since = Some(started.at);
            match effect {
                None => one.phase = Phase::Skipped,
                Some(inherited) => {
                    one.phase = Phase::Done;
                    one.output = Some(inherited.output.clone());
                    one.skipped_by_hand = inherited.by_hand;
                    one.origin = Some(Origin { saga: inherited.saga, law: inherited.law });
                    one.action.generation = inherited.generation;
                }
            }
        });
    }
    steps
}

fn inherited(here: Origin, one: &StepState) -> Option<Inherited> {
    (one.phase == Phase::Done).then(|| Inherited {
        output: one.output.clone().unwrap_or_else(Json::null),
        by_hand: one.skipped_by_hand,
        saga: one.origin.unwrap_or(here).saga,
        generation: one.action.generation,
        law: one.origin.unwrap_or(here).law,
    })
}

/// Returns the steps that run again: the chosen step, the steps without an outcome, and all steps that come after
/// these.
fn steps_to_run(definition: &Definition, state: &State, first: usize) -> BTreeSet<usize> {
    let unsettled = |one: &StepState| !matches!(one.phase, Phase::Done | Phase::Skipped);
    let mut to_run: BTreeSet<usize> =
        state.steps.iter().enumerate().filter(|(_, one)| unsettled(one)).map(|(index, _)| index).collect();
    to_run.insert(first);
    loop {
        let more: Vec<usize> = (0..state.steps.len())
            .filter(|later| !to_run.contains(later))
            .filter(|later| to_run.iter().any(|&earlier| directly_after(definition, state, *later, earlier)))
            .collect();
        if more.is_empty() {
            return to_run;
        }
        to_run.extend(more);
    }
}

/// Returns whether a step waits for another one, by its needs or by its kind.
fn directly_after(definition: &Definition, state: &State, later: usize, earlier: usize) -> bool {
    let kind = |index: usize| definition.step(state, index).kind;
    let needs = definition.at(state, later).needs.contains(&earlier);
    later != earlier && (needs || plan::waits_for(kind(later), kind(earlier)))
}

fn comes_before(definition: &Definition, state: &State, earlier: usize, later: usize) -> bool {
    let mut open = vec![later];
    let mut seen = BTreeSet::new();
    while let Some(step) = open.pop() {
        for before in 0..state.steps.len() {
            if directly_after(definition, state, step, before) && seen.insert(before) {
                open.push(before);
            }
        }
    }
    seen.contains(&earlier)
}

/// Returns whether the step surely left no effect in place.
fn leaves_nothing(definition: &Definition, state: &State, index: usize) -> bool {
    let one = &state.steps[index];
    let harmless = match &definition.step(state, index).action {
        Action::Call(call) => call.effect == Effect::ReadOnly,
        Action::Await { .. } | Action::Sleep { .. } | Action::Approval { .. } => true,
    };
    if harmless {
        return true;
    }
    match one.phase {
        Phase::Waiting | Phase::Deciding | Phase::Skipped | Phase::Failed => true,
        Phase::Undone(how) => match how {
            Undone::Compensated | Undone::Nothing | Undone::ByHand => true,
            Undone::LeftInPlace => false,
        },
        Phase::Done => one.skipped_by_hand,
        Phase::Active { direction: Direction::Action, activity } => match activity {
            // A call that the participant accepted may still take effect.
            Activity::BackingOff { .. } => one.action.evidence().doubt_at.is_none(),
            Activity::Attempting
            | Activity::Probing
            | Activity::Settling { .. }
            | Activity::Unresolved { .. }
            | Activity::Awaiting { .. }
            | Activity::Showing
            | Activity::Asking { .. }
            | Activity::Sleeping { .. } => false,
        },
        Phase::Stuck { direction: Direction::Action, .. } => one.action.evidence().doubt_at.is_none(),
        Phase::Active { direction: Direction::Compensation, .. }
        | Phase::Stuck { direction: Direction::Compensation, .. } => false,
    }
}

/// Returns what the step left, in words.
fn left(one: &StepState) -> &'static str {
    match one.phase {
        Phase::Done | Phase::Undone(_) => "has its effect in place",
        Phase::Active { direction: Direction::Compensation, .. }
        | Phase::Stuck { direction: Direction::Compensation, .. } => "was not undone completely",
        Phase::Waiting
        | Phase::Deciding
        | Phase::Skipped
        | Phase::Failed
        | Phase::Active { direction: Direction::Action, .. }
        | Phase::Stuck { direction: Direction::Action, .. } => "may have taken effect",
    }
}
