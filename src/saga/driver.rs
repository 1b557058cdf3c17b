//! What the driver of an open saga may ask: it appends steps while the saga runs, says that it is alive, and closes the
//! plan. Leaves what operators may ask to `request.rs`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::advance;
use super::definition::{Kind, Millis, Step};
use super::law::Law;
use super::plan::{self, Definition, Planned};
use super::request::not;
use super::state::{Phase, State, StepState};
use super::transition::IllegalEvent;
use super::turn::Turn;
use super::validate::{self, Fault};

/// Refuses where no driver may ask: the saga was committed, is turning back, or never was open.
pub(super) fn driven(turn: &Turn<'_>) -> Result<(), IllegalEvent> {
    if turn.state.lease_until.is_none() || turn.state.turn_back.is_some() {
        return Err(IllegalEvent::new(
            "the saga is not open: it was committed, is turning back, or never was",
        ));
    }
    Ok(())
}

/// The driver was heard from.
pub(super) fn extend_lease(turn: &mut Turn<'_>) {
    let at = turn.at;
    turn.state.lease_until = turn.definition.lease_ms().map(|lease: Millis| at.saturating_add(lease));
}

/// Appends a step, which comes after those that it needs: unless it names them, after those that are done. The same
/// step again changes nothing, so that a driver which crashed can run again from the top.
pub(super) fn append(turn: &mut Turn<'_>, step: &Step) -> Result<(), IllegalEvent> {
    driven(turn)?;
    extend_lease(turn);
    if let Some(index) = turn.definition.index_of(&turn.state, &step.name) {
        if turn.definition.step(&turn.state, index) == step {
            return Ok(());
        }
        let what = format!("the saga has another step {:?} already; take another name", step.name);
        return Err(IllegalEvent::new(what));
    }
    let known: Vec<&Step> =
        (0..turn.state.steps.len()).map(|index| turn.definition.step(&turn.state, index)).collect();
    let mut needs = validate::appended(step, &known).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        IllegalEvent::new(faults.join("; "))
    })?;
    if turn.law() >= Law::V2 && step.needs.is_empty() {
        needs = done(&turn.state);
    }
    let begun_later_kind = (0..turn.state.steps.len()).find(|&index| {
        plan::waits_for(turn.kind(index), step.kind) && turn.state.steps[index].phase != Phase::Waiting
    });
    if advance::committed(turn) && step.kind == Kind::Compensable || begun_later_kind.is_some() {
        let what = format!("step {:?} comes too late: the saga is at its point of no return", step.name);
        return Err(IllegalEvent::new(what));
    }
    turn.state.appended.push(Arc::new(Planned::new(step.clone(), needs)));
    turn.state.steps.push(Arc::new(StepState::waiting()));
    Ok(())
}

/// Refuses a step that could not have stood in a definition with the saga's others. The fold takes it: journals of
/// before hold such steps.
pub fn appendable(definition: &Definition, state: &State, step: &Step) -> Vec<Fault> {
    let named = |index| definition.step(state, index);
    let known: Vec<&Step> = (0..state.steps.len()).map(named).collect();
    let by_default = step.needs.is_empty() && state.law >= Law::V2;
    let before: Vec<&Step> = done(state).into_iter().filter(|_| by_default).map(named).collect();
    validate::appended_now(step, &known, &before)
}

/// Names the steps that are over when an appended step starts: those that it needs, those that its kind comes after,
/// and all before them.
pub fn steps_before(definition: &Definition, state: &State, step: &Step) -> BTreeSet<String> {
    let named = step.needs.iter().filter_map(|name| definition.index_of(state, name));
    let mut open: Vec<usize> = match step.needs.is_empty() && state.law >= Law::V2 {
        true => done(state),
        false => named.collect(),
    };
    let kind = |index| definition.step(state, index).kind;
    open.extend((0..state.steps.len()).filter(|&index| plan::waits_for(step.kind, kind(index))));
    let mut seen = BTreeSet::new();
    while let Some(index) = open.pop() {
        if seen.insert(index) {
            open.extend(definition.planned(state, index).into_iter().flat_map(|planned| &planned.needs));
        }
    }
    seen.into_iter().map(|index| definition.step(state, index).name.clone()).collect()
}

/// The steps that are done: by default an appended step needs these, so that it is undone before them.
fn done(state: &State) -> Vec<usize> {
    let steps = state.steps.iter().enumerate();
    steps.filter(|(_, one)| one.phase == Phase::Done).map(|(index, _)| index).collect()
}

/// Closes the plan of an open saga. What failed must have been taken note of: the driver may not know of it
/// yet.
pub(super) fn commit(turn: &mut Turn<'_>) -> Result<(), IllegalEvent> {
    driven(turn)?;
    let unnoticed =
        (turn.state.steps.iter()).position(|one| one.phase == Phase::Failed && !one.skipped_by_hand);
    if let Some(step) = unnoticed {
        return not(turn, step, "has failed; abort, or skip it if the saga is whole without it, then commit");
    }
    turn.state.lease_until = None;
    Ok(())
}
