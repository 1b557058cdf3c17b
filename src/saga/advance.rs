//! Moves the whole saga after an event. Owns the start of steps, turning back, the reverse order of undoing, and the
//! ends of a saga. `transition.rs` and `doubt.rs` decide what an event does to its own step.

use std::sync::Arc;

use super::Json;
use super::agenda::dependents_clear;
use super::definition::{Action, Effect, Kind, Millis};
use super::doubt;
use super::event::Direction;
use super::late;
use super::law::Law;
use super::outcome::Error;
use super::plan::{self, Definition};
use super::retry;
use super::state::{Activity, Course, End, Phase, State, StuckReason, TurnBack, Undone};
use super::traits::Traits;
use super::transition_context::TransitionContext;

/// Moves every step that may move now, until none does.
pub(super) fn advance(ctx: &mut TransitionContext<'_>) {
    loop {
        ctx.moved = false;
        match ctx.state.course {
            Course::Ended(_) => return,
            Course::Backward => backward(ctx),
            Course::Forward => {
                watch_limits(ctx);
                if ctx.state.turn_back.is_some() { turn_back(ctx) } else { forward(ctx) }
            }
        }
        if !ctx.moved {
            return;
        }
    }
}

/// Returns whether steps that could move may have stayed as they are, because the whole saga is held.
pub(super) fn is_blocked(definition: &Definition, state: &State) -> bool {
    let passed = limits(definition, state).into_iter().flatten().any(|limit| limit <= state.at);
    halted(state) || passed || state.course == Course::Forward && state.turn_back.is_some()
}

/// Returns whether new work may start on the way forward. After a limit of the saga has passed, nothing may start.
/// The timer then turns the saga back, once every request that was made in time is applied.
pub(super) fn may_start(ctx: &TransitionContext<'_>) -> bool {
    let forward = ctx.state.course == Course::Forward && ctx.state.turn_back.is_none();
    let in_time = || limits(ctx.definition, &ctx.state).into_iter().flatten().all(|limit| limit > ctx.at);
    forward && !halted(&ctx.state) && (ctx.ends_waits || in_time())
}

/// Starts the action of a step. The needs of the step are met and its condition holds.
pub(super) fn start(ctx: &mut TransitionContext<'_>, step: usize) {
    let direction = Direction::Action;
    let (event, until) = match &ctx.definition.step(&ctx.state, step).action {
        Action::Call(_) => return again(ctx, step, direction),
        Action::Sleep { for_ms } => {
            let until = ctx.at.saturating_add(*for_ms);
            return ctx.set(step, direction, Activity::Sleeping { until });
        }
        Action::Approval { .. } => return ctx.set(step, direction, Activity::Showing),
        Action::Await { event, deadline_ms } => {
            (event.clone(), deadline_ms.map(|deadline| ctx.at.saturating_add(deadline)))
        }
    };
    let provided = match ctx.state.mailbox.contains_key(&event) {
        true => Arc::make_mut(&mut ctx.state.mailbox).remove(&event),
        false => None,
    };
    match provided {
        Some(payload) => ctx.succeed(step, direction, payload),
        None => ctx.set(step, direction, Activity::Awaiting { until }),
    }
}

/// Returns the next time at which the saga moves by itself. `TimerFired` is legal from that time on.
pub fn next_timer(definition: &Definition, state: &State) -> Option<Millis> {
    if state.end().is_some() {
        return None;
    }
    let limits = limits(definition, state).into_iter().flatten();
    if halted(state) {
        return limits.min();
    }
    let unresolved = match state.course {
        Course::Backward => Some(state.steps.having(Traits::UNRESOLVED)),
        Course::Forward | Course::Ended(_) => None,
    };
    let in_turn = unresolved.into_iter().flatten().filter(|&step| dependents_clear(definition, state, step));
    let settled = in_turn.filter_map(|step| state.steps[step].phase.unresolved_until());
    limits.chain(state.steps.summary().due()).chain(settled).min()
}

/// Returns the latest deadline that has passed by `now` and that the timer has not handled yet. The actor reads all
/// requests made until then before it fires the timer, so a request that was made in time comes first. None under law
/// V1, which lets any event end a wait.
pub fn passed_deadline(definition: &Definition, state: &State, now: Millis) -> Option<Millis> {
    if state.law == Law::V1 || state.end().is_some() {
        return None;
    }
    let limits = limits(definition, state).into_iter().flatten().filter(|&until| until <= now).max();
    if halted(state) {
        return limits;
    }
    let over = state.steps.all(|summary| summary.is_due(now));
    limits.into_iter().chain(over.filter_map(|step| state.steps[step].phase.waits_until())).max()
}

/// Returns whether nothing new may start: a step needs a person, or an operator paused the saga.
fn halted(state: &State) -> bool {
    state.paused || state.steps.has(Traits::STUCK)
}

/// Returns the saga's deadline, while it can still turn the saga back, and the end of the driver's lease.
pub(super) fn limits(definition: &Definition, state: &State) -> [Option<Millis>; 2] {
    let deadline_ms = definition.draft().deadline_ms;
    // Most sagas have neither limit, and this runs for every step that could start.
    let unlimited = deadline_ms.is_none() && state.lease_until.is_none();
    if unlimited || state.course != Course::Forward || state.turn_back.is_some() {
        return [None, None];
    }
    let deadline =
        deadline_ms.filter(|_| !state.is_committed()).map(|deadline| state.started_at.saturating_add(deadline));
    [deadline, state.lease_until]
}

/// Turns the saga back when a limit has passed. If the driver is lost after the point of no return, the plan is
/// closed as it stands instead.
fn watch_limits(ctx: &mut TransitionContext<'_>) {
    if !ctx.ends_waits {
        return;
    }
    let [deadline, lease] = limits(ctx.definition, &ctx.state);
    let passed = |limit: Option<Millis>| limit.is_some_and(|limit| limit <= ctx.at);
    if passed(deadline) {
        ctx.turn_back(TurnBack::Deadline);
    } else if passed(lease) && ctx.state.is_committed() {
        ctx.state.plan_expired = true;
        close_plan(ctx);
    } else if passed(lease) {
        ctx.turn_back(TurnBack::DriverLost);
    }
}

fn forward(ctx: &mut TransitionContext<'_>) {
    if !may_start(ctx) {
        return;
    }
    let mut from = 0;
    while let Some(step) = ctx.agenda.next(ctx.definition, &ctx.state, from) {
        let moved_before = std::mem::take(&mut ctx.moved);
        forward_step(ctx, step);
        // `may_start` is costly, so it is asked only after a step has moved.
        if ctx.moved && !may_start(ctx) {
            return;
        }
        ctx.moved |= moved_before;
        from = step + 1;
    }
    if !ctx.state.steps.has(Traits::OPEN) && ctx.state.lease_until.is_none() && may_start(ctx) {
        ctx.state.course = Course::Ended(End::Completed);
    }
}

fn forward_step(ctx: &mut TransitionContext<'_>, step: usize) {
    match ctx.state.steps[step].phase {
        Phase::Waiting => match readiness(ctx, step) {
            Readiness::NotYet => {}
            Readiness::NeedFailed => {
                let error = Error::new("need_failed", "a step that this one needs has failed");
                ctx.step_mut(step).action.error = Some(Box::new(error));
                ctx.fail(step, Direction::Action);
            }
            Readiness::Ready => {
                if ctx.definition.step(&ctx.state, step).when.is_some() {
                    ctx.put(step, Phase::Deciding);
                } else {
                    start(ctx, step);
                }
            }
        },
        Phase::Active { direction, activity } => due(ctx, step, direction, activity),
        Phase::Deciding | Phase::Skipped | Phase::Done | Phase::Failed | Phase::Undone(_) | Phase::Stuck { .. } => {}
    }
}

/// Moves a step on when its wait is over.
fn due(ctx: &mut TransitionContext<'_>, step: usize, direction: Direction, activity: Activity) {
    match activity {
        Activity::BackingOff { until } if until <= ctx.at => again(ctx, step, direction),
        Activity::Settling { until } if until <= ctx.at => {
            let at = ctx.at;
            let tally = ctx.step_mut(step).tally_mut(direction);
            tally.probes += 1;
            tally.evidence_mut().probed_at = Some(at);
            ctx.set(step, direction, Activity::Probing);
        }
        Activity::Sleeping { until } if until <= ctx.at => ctx.succeed(step, direction, Json::null()),
        Activity::Awaiting { until: Some(until) } if ctx.ends_waits && until <= ctx.at => {
            let error = Error::new(late::DEADLINE, "the event was not provided within the longest wait");
            let pending = doubt::is_pending(ctx, step, direction);
            let tally = ctx.step_mut(step).tally_mut(direction);
            tally.error = Some(Box::new(error));
            if pending {
                doubt::resolve(ctx, step, direction);
            } else {
                ctx.fail(step, direction);
            }
        }
        Activity::Asking { until: Some(until) } if ctx.ends_waits && until <= ctx.at => {
            let error = Error::new(late::DEADLINE, "the approval was not given within the longest wait");
            ctx.step_mut(step).tally_mut(direction).error = Some(Box::new(error));
            ctx.fail(step, direction);
        }
        Activity::BackingOff { .. }
        | Activity::Settling { .. }
        | Activity::Showing
        | Activity::Asking { .. }
        | Activity::Sleeping { .. }
        | Activity::Awaiting { .. }
        | Activity::Unresolved { .. }
        | Activity::Attempting
        | Activity::Probing => {}
    }
}

/// Begins the first attempt, or the next one after a wait. Under law V2 it takes a new key if the participant may
/// forget the old one and nothing is in doubt. If the budget, the deadline or the key ran out during the wait, the
/// doubt is resolved or the call fails instead.
fn again(ctx: &mut TransitionContext<'_>, step: usize, direction: Direction) {
    let in_doubt = ctx.in_doubt(step, direction);
    if ctx.law() >= Law::V2 && !in_doubt && may_outlast_key(ctx, step, direction) {
        ctx.renew_key(step, direction);
    }
    if ctx.rested(step, direction, ctx.at) > ctx.at {
        return ctx.set(step, direction, Activity::BackingOff { until: ctx.at });
    }
    let tally = ctx.state.steps[step].tally(direction);
    let Some(call) = ctx.call(step, direction) else { return };
    if in_doubt && !doubt::may_repeat(ctx, step, direction, ctx.at) {
        doubt::resolve(ctx, step, direction);
    } else if direction == Direction::Compensation && doubt::compensates_too_late(ctx, step, ctx.at) {
        doubt::reopen(ctx, step);
    } else if retry::budget_left(call, tally, ctx.at) {
        ctx.attempt(step, direction);
    } else if in_doubt {
        doubt::resolve(ctx, step, direction);
    } else {
        let error = || Box::new(Error::new("deadline", "the step's deadline passed before it was called"));
        ctx.step_mut(step).tally_mut(direction).error.get_or_insert_with(error);
        ctx.fail(step, direction);
    }
}

/// Returns whether the effect of an attempt that begins now could land after the participant forgets the present key.
fn may_outlast_key(ctx: &TransitionContext<'_>, step: usize, direction: Direction) -> bool {
    let tally = ctx.state.steps[step].tally(direction);
    ctx.call(step, direction)
        .is_some_and(|call| call.effect == Effect::Idempotent && !retry::repeatable(call, tally, ctx.at))
}

enum Readiness {
    Ready,
    NotYet,
    NeedFailed,
}

/// Returns whether a waiting step may start: its needs are settled, and so is every step that its kind waits for. A
/// failed need fails the step: at once while the saga can turn back, after that when all needs are settled.
fn readiness(ctx: &TransitionContext<'_>, step: usize) -> Readiness {
    let Some(planned) = ctx.definition.planned(&ctx.state, step) else { return Readiness::NotYet };
    let need_failed = ctx.state.steps.any_has(&planned.needs, Traits::FAILED);
    let needs_met = !ctx.state.steps.any_has(&planned.needs, Traits::OPEN);
    if need_failed && !ctx.state.is_committed() {
        Readiness::NeedFailed
    } else if !needs_met || !barrier_passed(ctx, step) {
        Readiness::NotYet
    } else if need_failed {
        Readiness::NeedFailed
    } else {
        Readiness::Ready
    }
}

/// Returns whether every step is settled that the kind of this step waits for. A retriable step also waits until the
/// plan of an open saga is closed.
pub(super) fn barrier_passed(ctx: &TransitionContext<'_>, step: usize) -> bool {
    let kind = ctx.kind(step);
    let still_open = kind == Kind::Retriable && ctx.state.lease_until.is_some();
    let waits_for = |earlier| plan::waits_for(kind, earlier) && ctx.state.steps.has(Traits::open(earlier));
    !still_open && ![Kind::Compensable, Kind::Pivot, Kind::Retriable].into_iter().any(waits_for)
}

/// Turns the saga back once no attempt is in flight and no pivot is open. The outcome of an open pivot decides the
/// direction.
fn turn_back(ctx: &mut TransitionContext<'_>) {
    if ctx.state.is_committed() {
        return too_late(ctx);
    }
    let mut from = 0;
    while let Some(step) = ctx.state.steps.find(from, |summary| summary.has(Traits::STOPPABLE)) {
        stop_waiting(ctx, step);
        from = step + 1;
    }
    if !ctx.state.steps.has(Traits::ATTEMPTING) && !ctx.state.steps.has(Traits::PIVOT_UNDER_WAY) {
        ctx.state.lease_until = None;
        ctx.state.course = Course::Backward;
        ctx.moved = true;
        return;
    }
    let (mut from, at) = (0, ctx.at);
    while let Some(step) = ctx.state.steps.find(from, |summary| summary.is_due(at)) {
        if halted(&ctx.state) {
            return;
        }
        if let Phase::Active { direction, activity } = ctx.state.steps[step].phase {
            due(ctx, step, direction, activity);
        }
        from = step + 1;
    }
}

/// Drops the reason to turn back: the saga has passed its point of no return, because a pivot in flight succeeded.
fn too_late(ctx: &mut TransitionContext<'_>) {
    let limit = matches!(ctx.state.turn_back, Some(TurnBack::Deadline | TurnBack::DriverLost));
    ctx.state.plan_expired = limit && ctx.state.lease_until.is_some();
    ctx.state.turn_back = None;
    close_plan(ctx);
}

/// Closes the plan of an open saga as it stands. Used past the point of no return, when the driver is lost or the
/// saga was to turn back. A step that failed for good needs a person. A step that failed only because a need failed
/// waits again.
fn close_plan(ctx: &mut TransitionContext<'_>) {
    ctx.state.lease_until = None;
    ctx.moved = true;
    let before = ctx.state.steps.clone();
    for step in before.having(Traits::FAILED).filter(|&step| !before[step].skipped_by_hand) {
        let planned = ctx.definition.planned(&ctx.state, step);
        if planned.is_some_and(|planned| before.any_has(&planned.needs, Traits::FAILED)) {
            ctx.put(step, Phase::Waiting);
        } else {
            ctx.mark_stuck(step, Direction::Action, StuckReason::Failed);
        }
    }
}

/// Stops a wait when the saga turns back. A step that is not in doubt goes back to waiting and does not start. A step
/// in doubt is left open or probed rather than repeated, where that is possible.
fn stop_waiting(ctx: &mut TransitionContext<'_>, step: usize) {
    let in_doubt = ctx.in_doubt(step, Direction::Action);
    match ctx.state.steps[step].phase {
        Phase::Deciding => ctx.put(step, Phase::Waiting),
        Phase::Active { activity: Activity::BackingOff { .. }, .. } | Phase::Stuck { .. } if in_doubt => {
            doubt::reconsider(ctx, step);
        }
        Phase::Active {
            activity:
                Activity::BackingOff { .. }
                | Activity::Settling { .. }
                | Activity::Awaiting { .. }
                | Activity::Showing
                | Activity::Asking { .. }
                | Activity::Sleeping { .. },
            ..
        }
        | Phase::Stuck { .. }
            if !in_doubt =>
        {
            ctx.put(step, Phase::Waiting);
        }
        Phase::Active { .. }
        | Phase::Stuck { .. }
        | Phase::Waiting
        | Phase::Skipped
        | Phase::Done
        | Phase::Failed
        | Phase::Undone(_) => {}
    }
}

fn backward(ctx: &mut TransitionContext<'_>) {
    let mut before = ctx.state.steps.len();
    while let Some(step) = ctx.agenda.previous(ctx.definition, &ctx.state, before) {
        if halted(&ctx.state) {
            return;
        }
        backward_step(ctx, step);
        before = step;
    }
    if !ctx.state.steps.has(Traits::IN_PLACE) && !halted(&ctx.state) {
        ctx.state.course = Course::Ended(End::Compensated);
    }
}

fn backward_step(ctx: &mut TransitionContext<'_>, step: usize) {
    let my_turn = || dependents_clear(ctx.definition, &ctx.state, step);
    match ctx.state.steps[step].phase {
        Phase::Done if my_turn() => undo(ctx, step),
        Phase::Active { activity: Activity::Unresolved { until }, .. } if until <= ctx.at && my_turn() => {
            undo(ctx, step);
        }
        Phase::Active { direction, activity } => due(ctx, step, direction, activity),
        Phase::Done
        | Phase::Waiting
        | Phase::Deciding
        | Phase::Skipped
        | Phase::Failed
        | Phase::Undone(_)
        | Phase::Stuck { .. } => {}
    }
}

/// Undoes a step that is done or in doubt, after every step that depends on it is undone.
fn undo(ctx: &mut TransitionContext<'_>, step: usize) {
    let planned = ctx.definition.step(&ctx.state, step);
    let harmless = ctx.state.steps[step].skipped_by_hand
        || match &planned.action {
            Action::Call(call) => call.effect == Effect::ReadOnly,
            Action::Await { .. } | Action::Sleep { .. } | Action::Approval { .. } => true,
        };
    if harmless {
        ctx.put(step, Phase::Undone(Undone::Nothing));
    } else if doubt::compensates_too_late(ctx, step, ctx.at) {
        doubt::reopen(ctx, step);
    } else if planned.compensation.is_some() {
        ctx.attempt(step, Direction::Compensation);
    } else {
        assert!(planned.irreversible, "a definition without a way to undo step {step} must not be built");
        ctx.put(step, Phase::Undone(Undone::LeftInPlace));
    }
}

/// Returns whether the step has no effect in place.
pub(super) fn is_clear(phase: &Phase) -> bool {
    match phase {
        Phase::Waiting | Phase::Skipped | Phase::Failed | Phase::Undone(_) => true,
        Phase::Deciding | Phase::Active { .. } | Phase::Done | Phase::Stuck { .. } => false,
    }
}
