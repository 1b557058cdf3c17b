//! What becomes of the saga as a whole after an event. Owns the one place where steps start, the turning
//! back, the reverse order and the ends; what an event does to its own step is decided in `transition.rs` and
//! `doubt.rs`.

use std::collections::BTreeSet;

use super::Json;
use super::definition::{Action, Effect, Kind, Millis};
use super::doubt;
use super::event::Direction;
use super::late;
use super::law::Law;
use super::outcome::Error;
use super::plan::{self, Definition};
use super::retry;
use super::state::{Activity, Course, End, Phase, State, StepState, StuckReason, TurnBack, Undone};
use super::transition_context::TransitionContext;

/// Moves everything that may move now, until nothing does.
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

/// Whether the saga has passed its point of no return: a pivot is done, or a retriable step has begun.
pub(super) fn committed(ctx: &TransitionContext<'_>) -> bool {
    is_committed(ctx.definition, &ctx.state)
}

/// The same question about a state.
pub(super) fn is_committed(definition: &Definition, state: &State) -> bool {
    state.steps.iter().enumerate().any(|(index, one)| match (definition.step(state, index).kind, &one.phase) {
        (Kind::Compensable, _) => false,
        (Kind::Pivot, Phase::Done) => true,
        (Kind::Pivot, _) => false,
        (Kind::Retriable, Phase::Waiting | Phase::Deciding | Phase::Skipped | Phase::Failed) => false,
        (Kind::Retriable, Phase::Stuck { .. }) => one.action.attempts > 0,
        (Kind::Retriable, Phase::Active { .. } | Phase::Done | Phase::Undone(_)) => true,
    })
}

/// Whether new work may start on the way forward. Past a limit of the saga nothing does: its timer turns it back when
/// all that was asked in time is heard.
pub(super) fn may_start(ctx: &TransitionContext<'_>) -> bool {
    let forward = ctx.state.course == Course::Forward && ctx.state.turn_back.is_none();
    let in_time = || limits(ctx.definition, &ctx.state).into_iter().flatten().all(|limit| limit > ctx.at);
    forward && !halted(&ctx.state) && (ctx.ends_waits || in_time())
}

/// Starts the action of a step whose needs are met and whose condition holds.
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
    match ctx.state.mailbox.remove(&event) {
        Some(payload) => ctx.succeed(step, direction, payload),
        None => ctx.set(step, direction, Activity::Awaiting { until }),
    }
}

/// Returns the next time at which the saga moves by itself; `TimerFired` is legal from then on.
pub fn next_timer(definition: &Definition, state: &State) -> Option<Millis> {
    if state.end().is_some() {
        return None;
    }
    let limits = limits(definition, state).into_iter().flatten();
    let waits = state.steps.iter().enumerate().filter_map(|(index, one)| match &one.phase {
        _ if halted(state) => None,
        Phase::Active { activity, .. } => match activity {
            Activity::BackingOff { until } | Activity::Settling { until } | Activity::Sleeping { until } => {
                Some(*until)
            }
            Activity::Awaiting { until } | Activity::Asking { until } => *until,
            Activity::Unresolved { until } => {
                let its_turn = state.course == Course::Backward && dependents_clear(definition, state, index);
                its_turn.then_some(*until)
            }
            Activity::Attempting | Activity::Probing | Activity::Showing => None,
        },
        Phase::Waiting
        | Phase::Deciding
        | Phase::Skipped
        | Phase::Done
        | Phase::Failed
        | Phase::Undone(_)
        | Phase::Stuck { .. } => None,
    });
    limits.chain(waits).min()
}

/// The deadline that has passed last by `now` and that the timer has not ended yet. Whoever fires the timer hears first
/// what was asked until then: a request that was made in time comes before it. None under the first law, which lets
/// any event end a wait.
pub fn passed_deadline(definition: &Definition, state: &State, now: Millis) -> Option<Millis> {
    if state.law == Law::V1 || state.end().is_some() {
        return None;
    }
    let waiting = if halted(state) { &[][..] } else { &state.steps[..] };
    let waits = waiting.iter().filter_map(|one| one.phase.waits_until());
    limits(definition, state).into_iter().flatten().chain(waits).filter(|&until| until <= now).max()
}

/// A step needs a person, or an operator paused the saga: nothing new starts.
fn halted(state: &State) -> bool {
    state.paused || state.stuck().is_some()
}

/// The saga's deadline, while it can still turn the saga back, and the driver's lease.
pub(super) fn limits(definition: &Definition, state: &State) -> [Option<Millis>; 2] {
    let deadline_ms = definition.draft().deadline_ms;
    // Most sagas have neither, and each step that could start asks for them.
    let unlimited = deadline_ms.is_none() && state.lease_until.is_none();
    if unlimited || state.course != Course::Forward || state.turn_back.is_some() {
        return [None, None];
    }
    let deadline = deadline_ms
        .filter(|_| !is_committed(definition, state))
        .map(|deadline| state.started_at.saturating_add(deadline));
    [deadline, state.lease_until]
}

/// Turns the saga back when its time is up. A driver that is lost after the point of no return leaves the
/// plan as it stands.
fn watch_limits(ctx: &mut TransitionContext<'_>) {
    if !ctx.ends_waits {
        return;
    }
    let [deadline, lease] = limits(ctx.definition, &ctx.state);
    let passed = |limit: Option<Millis>| limit.is_some_and(|limit| limit <= ctx.at);
    if passed(deadline) {
        ctx.turn_back(TurnBack::Deadline);
    } else if passed(lease) && committed(ctx) {
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
    for step in 0..ctx.state.steps.len() {
        let moved_before = std::mem::take(&mut ctx.moved);
        forward_step(ctx, step);
        // Whether more may start is asked of every step, so only when something has changed.
        if ctx.moved && !may_start(ctx) {
            return;
        }
        ctx.moved |= moved_before;
    }
    let settled = ctx.state.steps.iter().all(|one| is_settled(one));
    if settled && ctx.state.lease_until.is_none() && may_start(ctx) {
        ctx.state.course = Course::Ended(End::Completed);
    }
}

fn forward_step(ctx: &mut TransitionContext<'_>, step: usize) {
    match ctx.state.steps[step].phase {
        Phase::Waiting => match readiness(ctx, step) {
            Readiness::NotYet => {}
            Readiness::NeedFailed => {
                let error = Error::new("need_failed", "a step that this one needs has failed");
                ctx.state.step_mut(step).action.error = Some(Box::new(error));
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

/// Carries a wait on whose time has come.
fn due(ctx: &mut TransitionContext<'_>, step: usize, direction: Direction, activity: Activity) {
    match activity {
        Activity::BackingOff { until } if until <= ctx.at => again(ctx, step, direction),
        Activity::Settling { until } if until <= ctx.at => {
            let tally = ctx.state.step_mut(step).tally_mut(direction);
            tally.probes += 1;
            tally.evidence_mut().probed_at = Some(ctx.at);
            ctx.set(step, direction, Activity::Probing);
        }
        Activity::Sleeping { until } if until <= ctx.at => ctx.succeed(step, direction, Json::null()),
        Activity::Awaiting { until: Some(until) } if ctx.ends_waits && until <= ctx.at => {
            let error = Error::new(late::DEADLINE, "nothing was provided within the longest wait");
            let pending = doubt::is_pending(ctx, step, direction);
            let tally = ctx.state.step_mut(step).tally_mut(direction);
            tally.error = Some(Box::new(error));
            if pending {
                doubt::resolve(ctx, step, direction);
            } else {
                ctx.fail(step, direction);
            }
        }
        Activity::Asking { until: Some(until) } if ctx.ends_waits && until <= ctx.at => {
            let error = Error::new(late::DEADLINE, "nobody has approved it within the longest wait");
            ctx.state.step_mut(step).tally_mut(direction).error = Some(Box::new(error));
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

/// The first attempt; or another, unless its time has passed meanwhile.
fn again(ctx: &mut TransitionContext<'_>, step: usize, direction: Direction) {
    let in_doubt = ctx.in_doubt(step, direction);
    if ctx.law() >= Law::V2 && !in_doubt && is_forgotten(ctx, step, direction) {
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
        ctx.state.step_mut(step).tally_mut(direction).error.get_or_insert_with(error);
        ctx.fail(step, direction);
    }
}

/// Whether the participant may forget the present key before an attempt that begins now has surely landed.
fn is_forgotten(ctx: &TransitionContext<'_>, step: usize, direction: Direction) -> bool {
    let tally = ctx.state.steps[step].tally(direction);
    ctx.call(step, direction)
        .is_some_and(|call| call.effect == Effect::Idempotent && !retry::repeatable(call, tally, ctx.at))
}

enum Readiness {
    Ready,
    NotYet,
    NeedFailed,
}

/// Whether a waiting step may start: its needs are met, and so is every step that its kind waits for. A need
/// that failed fails it too: at once while the saga can turn back, and when its turn comes after that.
fn readiness(ctx: &TransitionContext<'_>, step: usize) -> Readiness {
    let Some(planned) = ctx.definition.planned(&ctx.state, step) else { return Readiness::NotYet };
    let one = |index: usize| &ctx.state.steps[index];
    let need_failed = planned.needs.iter().any(|&need| one(need).phase == Phase::Failed);
    let needs_met = planned.needs.iter().all(|&need| is_settled(one(need)));
    if need_failed && !committed(ctx) {
        Readiness::NeedFailed
    } else if !needs_met || !barrier_passed(ctx, step) {
        Readiness::NotYet
    } else if need_failed {
        Readiness::NeedFailed
    } else {
        Readiness::Ready
    }
}

/// Whether every step that a step's kind waits for is settled, and the plan is known where it must be.
pub(super) fn barrier_passed(ctx: &TransitionContext<'_>, step: usize) -> bool {
    let kind = ctx.kind(step);
    let still_open = kind == Kind::Retriable && ctx.state.lease_until.is_some();
    let settled = |index: usize| is_settled(&ctx.state.steps[index]);
    !still_open && (0..ctx.state.steps.len()).all(|index| !plan::waits_for(kind, ctx.kind(index)) || settled(index))
}

/// Nothing more will come of the step on the way forward, and nobody needs to be told so: a step of an open
/// saga that failed is settled when its driver goes on without it.
fn is_settled(one: &StepState) -> bool {
    match one.phase {
        Phase::Done | Phase::Skipped => true,
        Phase::Failed => one.skipped_by_hand,
        Phase::Waiting | Phase::Deciding | Phase::Active { .. } | Phase::Undone(_) | Phase::Stuck { .. } => false,
    }
}

/// The saga shall turn back. What is in flight is waited for; a pivot whose outcome is open decides the
/// direction first.
fn turn_back(ctx: &mut TransitionContext<'_>) {
    if committed(ctx) {
        return too_late(ctx);
    }
    for step in 0..ctx.state.steps.len() {
        stop_waiting(ctx, step);
    }
    let open = ctx.state.steps.iter().enumerate().any(|(index, one)| match one.phase {
        Phase::Active { activity: Activity::Attempting, .. } => true,
        Phase::Active { .. } | Phase::Stuck { .. } => ctx.kind(index) == Kind::Pivot,
        Phase::Waiting | Phase::Deciding | Phase::Skipped | Phase::Done | Phase::Failed | Phase::Undone(_) => false,
    });
    if !open {
        ctx.state.lease_until = None;
        ctx.state.course = Course::Backward;
        ctx.moved = true;
        return;
    }
    for step in 0..ctx.state.steps.len() {
        if halted(&ctx.state) {
            return;
        }
        if let Phase::Active { direction, activity } = ctx.state.steps[step].phase {
            due(ctx, step, direction, activity);
        }
    }
}

/// A pivot succeeded after all, so the saga goes on.
fn too_late(ctx: &mut TransitionContext<'_>) {
    let limit = matches!(ctx.state.turn_back, Some(TurnBack::Deadline | TurnBack::DriverLost));
    ctx.state.plan_expired = limit && ctx.state.lease_until.is_some();
    ctx.state.turn_back = None;
    close_plan(ctx);
}

/// Past the point of no return the plan of an open saga stays as it is when its driver is lost, or wanted to
/// turn back. What failed for good needs a person; what failed only because a need had failed waits for its ctx.
fn close_plan(ctx: &mut TransitionContext<'_>) {
    ctx.state.lease_until = None;
    ctx.moved = true;
    let failed = |one: &StepState| one.phase == Phase::Failed;
    let before = ctx.state.steps.clone();
    for (step, _) in before.iter().enumerate().filter(|(_, one)| failed(one) && !one.skipped_by_hand) {
        let planned = ctx.definition.planned(&ctx.state, step);
        if planned.is_some_and(|planned| planned.needs.iter().any(|&need| failed(&before[need]))) {
            ctx.put(step, Phase::Waiting);
        } else {
            ctx.mark_stuck(step, Direction::Action, StuckReason::Failed);
        }
    }
}

/// What only waits is not begun on the way back; what is in doubt prefers to ask rather than to repeat.
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
    for step in (0..ctx.state.steps.len()).rev() {
        if halted(&ctx.state) {
            return;
        }
        backward_step(ctx, step);
    }
    if ctx.state.steps.iter().all(|one| is_clear(&one.phase)) && !halted(&ctx.state) {
        ctx.state.course = Course::Ended(End::Compensated);
    }
}

fn backward_step(ctx: &mut TransitionContext<'_>, step: usize) {
    let my_turn = dependents_clear(ctx.definition, &ctx.state, step);
    match ctx.state.steps[step].phase {
        Phase::Done if my_turn => undo(ctx, step),
        Phase::Active { activity: Activity::Unresolved { until }, .. } if my_turn && until <= ctx.at => {
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

/// Undoes a step that is done, or may be, when all that came after it is undone.
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

/// Nothing of the step is left, or ever was.
fn is_clear(phase: &Phase) -> bool {
    match phase {
        Phase::Waiting | Phase::Skipped | Phase::Failed | Phase::Undone(_) => true,
        Phase::Deciding | Phase::Active { .. } | Phase::Done | Phase::Stuck { .. } => false,
    }
}

/// Whether nothing is left of the steps that come after this one, directly or through others: those between may
/// have been left out, or not have begun when an operator took a later one for done.
fn dependents_clear(definition: &Definition, state: &State, step: usize) -> bool {
    let mut open = vec![step];
    let mut seen = BTreeSet::new();
    while let Some(needed) = open.pop() {
        for (index, one) in state.steps.iter().enumerate() {
            let needs = definition.planned(state, index).map_or(&[][..], |planned| &planned.needs);
            if needs.contains(&needed) && seen.insert(index) {
                if !is_clear(&one.phase) {
                    return false;
                }
                open.push(index);
            }
        }
    }
    true
}
