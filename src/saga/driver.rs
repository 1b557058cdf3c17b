//! Requests of the driver of an open saga. The driver appends steps while the saga runs, keeps its lease alive, and
//! closes the plan. `request.rs` applies the requests of operators.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::definition::{Kind, Millis, Step};
use super::law::Law;
use super::plan::{self, Definition, PlannedStep};
use super::request::not;
use super::state::{Phase, State};
use super::traits::Traits;
use super::transition::IllegalEvent;
use super::transition_context::TransitionContext;
use super::validate::{self, Fault};

/// Refuses a driver's request if the saga is not open: it was committed, is turning back, or never was open.
pub(super) fn driven(ctx: &TransitionContext<'_>) -> Result<(), IllegalEvent> {
    if ctx.state.lease_until.is_none() || ctx.state.turn_back.is_some() {
        return Err(IllegalEvent::new("the saga is not open: it was committed, is turning back, or never was open"));
    }
    Ok(())
}

/// Renews the driver's lease from now on.
pub(super) fn extend_lease(ctx: &mut TransitionContext<'_>) {
    let at = ctx.at;
    ctx.state.lease_until = ctx.definition.lease_ms().map(|lease: Millis| at.saturating_add(lease));
}

/// Appends a step. It needs the steps that it names; if it names none, it needs the steps that are done. Appending an
/// identical step again changes nothing, so a driver that crashed can run again from the top.
pub(super) fn append(ctx: &mut TransitionContext<'_>, step: &Step) -> Result<(), IllegalEvent> {
    driven(ctx)?;
    extend_lease(ctx);
    if let Some(index) = ctx.definition.index_of(&ctx.state, &step.name) {
        if ctx.definition.step(&ctx.state, index) == step {
            return Ok(());
        }
        let what = format!("the saga already has a different step {:?}; choose another name", step.name);
        return Err(IllegalEvent::new(what));
    }
    let known: Vec<&Step> = (0..ctx.state.steps.len()).map(|index| ctx.definition.step(&ctx.state, index)).collect();
    let mut needs = validate::appended(step, &known).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        IllegalEvent::new(faults.join("; "))
    })?;
    if ctx.law() >= Law::V2 && step.needs.is_empty() {
        needs = done(&ctx.state);
    }
    let begun_later_kind = (0..ctx.state.steps.len())
        .find(|&index| plan::waits_for(ctx.kind(index), step.kind) && ctx.state.steps[index].phase != Phase::Waiting);
    if ctx.state.is_committed() && step.kind == Kind::Compensable || begun_later_kind.is_some() {
        let what = format!("step {:?} comes too late: the saga is at its point of no return", step.name);
        return Err(IllegalEvent::new(what));
    }
    let index = ctx.state.steps.len();
    Arc::make_mut(&mut ctx.state.appended).push(index, PlannedStep::new(step.clone(), needs));
    ctx.state.steps.push(step.kind);
    ctx.agenda.touch(index);
    Ok(())
}

/// Returns why an appended step could not stand in a definition beside the saga's other steps. `append` still accepts
/// such a step, because older journals hold some.
pub fn appendable(definition: &Definition, state: &State, step: &Step) -> Vec<Fault> {
    let named = |index| definition.step(state, index);
    let known: Vec<&Step> = (0..state.steps.len()).map(named).collect();
    let by_default = step.needs.is_empty() && state.law >= Law::V2;
    let before: Vec<&Step> = done(state).into_iter().filter(|_| by_default).map(named).collect();
    validate::appended_now(step, &known, &before)
}

/// Returns the names of the steps that are over when an appended step starts: its needs, the steps that its kind
/// waits for, and all steps before those.
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

/// Returns the steps that are done. An appended step needs them by default, so that it is undone before them.
fn done(state: &State) -> Vec<usize> {
    state.steps.having(Traits::DONE).collect()
}

/// Closes the plan of an open saga. Every failed step must have been skipped, because the driver may not know of the
/// failure yet.
pub(super) fn commit(ctx: &mut TransitionContext<'_>) -> Result<(), IllegalEvent> {
    driven(ctx)?;
    let mut failed = ctx.state.steps.having(Traits::FAILED);
    let unnoticed = failed.find(|&step| !ctx.state.steps[step].skipped_by_hand);
    if let Some(step) = unnoticed {
        return not(ctx, step, "has failed; abort, or skip it if the saga is complete without it, then commit");
    }
    ctx.state.lease_until = None;
    Ok(())
}
