//! A new saga that goes on from a step of an ended one. Owns when that is true: what came before the step is in place
//! and its outcome is known, what is to be done anew has left nothing, and nobody else will undo what is taken over.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Json;
use super::definition::{Action, Effect};
use super::event::{Direction, Started};
use super::law::Law;
use super::plan::{self, Definition};
use super::state::{Activity, Origin, Phase, State, StepState, Undone};
use super::transition::IllegalEvent;

/// Why a saga does not begin with nothing: it takes over outcomes of another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rerun {
    /// The saga that had them. It has ended, and is taken over once at most.
    pub of: Uuid,
    /// Name of the step from which on everything is done anew.
    pub from: String,
    /// Who asked, as the database saw them.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What is taken over.
    pub outcomes: Vec<TakenOver>,
}

/// The outcome of one step of the other saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakenOver {
    /// Index of the step.
    pub step: usize,
    /// What it left; none: its `when` was false.
    pub effect: Option<Inherited>,
}

/// An effect that is in place, and under which key its participant knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inherited {
    /// The action's output.
    pub output: Json,
    /// Taken for done by an operator without a call: there is nothing to undo.
    pub by_hand: bool,
    /// The saga of the action's idempotency key: the one that made the call, however often it was taken over.
    pub saga: Uuid,
    /// The generation of that key.
    pub generation: u32,
    /// The law of that key.
    #[serde(default, skip_serializing_if = "Law::is_first")]
    pub law: Law,
}

/// Says what a new saga takes over of this one when it goes on from a step. Refused where that would do an effect
/// twice, or leave one that nobody knows of.
pub fn take_over(
    definition: &Definition,
    saga: Uuid,
    state: &State,
    from: &str,
) -> Result<Vec<TakenOver>, IllegalEvent> {
    if state.end().is_none() {
        let what = format!("the saga is {}; until it has ended, its effects are its own", state.status());
        return Err(IllegalEvent::new(what));
    }
    if definition.lease_ms().is_some() {
        return Err(IllegalEvent::new("the saga was open: its plan is its driver's, who may start another"));
    }
    if definition.draft().concurrency.is_some() {
        return Err(IllegalEvent::new("sagas of this definition take turns, which a rerun would not wait for"));
    }
    let Some(first) = definition.index_of(state, from) else {
        let known: Vec<_> = definition.steps().iter().map(|planned| &*planned.name).collect();
        let what = format!("the saga has no step {from:?}; its steps are {}", known.join(", "));
        return Err(IllegalEvent::new(what));
    };
    let anew = anew(definition, state, first);
    for (index, one) in state.steps.iter().enumerate() {
        let name = &definition.step(state, index).name;
        if anew.contains(&index) && !leaves_nothing(definition, state, index) {
            let what = format!("step {name:?} {}: it would be done twice", left(one));
            return Err(IllegalEvent::new(what));
        }
        if anew.contains(&index) && index != first && comes_before(definition, state, index, first) {
            let what = format!("step {name:?} comes before {from:?}, and no outcome of it is in place to take over");
            return Err(IllegalEvent::new(what));
        }
    }
    Ok((0..state.steps.len())
        .filter(|index| !anew.contains(index))
        .map(|step| TakenOver { step, effect: inherited(Origin { saga, law: state.law }, &state.steps[step]) })
        .collect())
}

/// Names the steps from which a new saga may go on.
pub fn rerunnable(definition: &Definition, saga: Uuid, state: &State) -> Vec<String> {
    let names = definition.steps().iter().map(|planned| planned.step.name.clone());
    names.filter(|name| take_over(definition, saga, state, name).is_ok()).collect()
}

/// The steps of a saga as it begins: nothing has happened, but for what is taken over.
pub(super) fn first_steps(definition: &Definition, started: &Started) -> Vec<Arc<StepState>> {
    let waiting = Arc::new(StepState::waiting());
    let mut steps = vec![waiting; definition.steps().len()];
    let outcomes = started.rerun.iter().flat_map(|rerun| &rerun.outcomes);
    for TakenOver { step, effect } in outcomes {
        let Some(one) = steps.get_mut(*step).map(Arc::make_mut) else { continue };
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

/// What is done anew: the step, what has no outcome, and all that comes after these.
fn anew(definition: &Definition, state: &State, first: usize) -> BTreeSet<usize> {
    let unsettled = |one: &StepState| !matches!(one.phase, Phase::Done | Phase::Skipped);
    let mut anew: BTreeSet<usize> =
        state.steps.iter().enumerate().filter(|(_, one)| unsettled(one)).map(|(index, _)| index).collect();
    anew.insert(first);
    loop {
        let more: Vec<usize> = (0..state.steps.len())
            .filter(|later| !anew.contains(later))
            .filter(|later| anew.iter().any(|&earlier| directly_after(definition, state, *later, earlier)))
            .collect();
        if more.is_empty() {
            return anew;
        }
        anew.extend(more);
    }
}

/// Whether a step waits for another, by its needs or by its kind.
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

/// Whether nothing of a step is in place, or may be.
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
            // What a participant has accepted may yet take effect.
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

/// What a step has left, in words.
fn left(one: &StepState) -> &'static str {
    match one.phase {
        Phase::Done | Phase::Undone(_) => "has its effect in place",
        Phase::Active { direction: Direction::Compensation, .. }
        | Phase::Stuck { direction: Direction::Compensation, .. } => "was not undone to the end",
        Phase::Waiting
        | Phase::Deciding
        | Phase::Skipped
        | Phase::Failed
        | Phase::Active { direction: Direction::Action, .. }
        | Phase::Stuck { direction: Direction::Action, .. } => "may have taken effect",
    }
}
