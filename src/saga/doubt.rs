//! Resolves doubts about calls. Owns the ways out and their order: repeat under the same key, ask the probe, leave
//! the doubt open where the compensation is safe either way, ask a person. An unknown outcome is never rounded to
//! failed here.

use super::definition::{Action, Call, Kind, Millis};
use super::event::Direction;
use super::law::Law;
use super::outcome::{Error, TRANSACTION_ENDED};
use super::plan::Definition;
use super::retry;
use super::state::{Activity, Course, Phase, State, StuckReason, TurnBack};
use super::tally::{Evidence, Tally};
use super::transition_context::{TransitionContext, in_doubt};

/// Error code of a call in doubt whose key the participant may have forgotten, so that an answer proves nothing.
const KEY_FORGOTTEN: &str = "key_forgotten";

/// A way out of doubt.
#[derive(Clone, Copy)]
enum Resolution {
    /// Repeat the call under the same key. Its answer tells.
    Repeat,
    /// Ask the participant by the probe.
    Probe,
    /// Leave the doubt open: the compensation is safe either way, or the effect may stay.
    LeaveOpen,
}

/// Further facts about a definite failure.
#[derive(Clone, Copy)]
pub(super) struct Refusal {
    /// The participant looked the key up before it refused. The refusal holds for every attempt under the key.
    pub(super) answers_key: bool,
    /// The participant repeats the refusal under the same key.
    pub(super) renew_key: bool,
}

/// Handles an attempt that ended by `ended_at` with an unknown effect.
pub(super) fn unknown(
    ctx: &mut TransitionContext<'_>,
    step: usize,
    direction: Direction,
    error: Error,
    ended_at: Millis,
) {
    let recorded_together = ctx.call(step, direction).is_some_and(Call::is_transactional);
    let heard_at = ctx.at;
    if recorded_together && ctx.law() >= Law::V2 && error.code == TRANSACTION_ENDED {
        // What the handler committed by itself stays, and the runtime has no means to find it.
        let tally = ctx.step_mut(step).tally_mut(direction);
        tally.error = Some(Box::new(error));
        let evidence = tally.evidence_mut();
        (evidence.doubt_at, evidence.heard_at) = (Some(ended_at), Some(heard_at));
        return ctx.mark_stuck(step, direction, StuckReason::InDoubt);
    }
    enter(ctx, step, direction, error, ended_at);
    leave(ctx, step, direction);
}

/// Puts a call in doubt. Takes no way out yet.
pub(super) fn enter(
    ctx: &mut TransitionContext<'_>,
    step: usize,
    direction: Direction,
    error: Error,
    ended_at: Millis,
) {
    let sure = ctx.call(step, direction).is_some_and(|call| call.effect.is_never_in_doubt());
    let (law, heard_at) = (ctx.law(), ctx.at);
    let tally = ctx.step_mut(step).tally_mut(direction);
    tally.error = Some(Box::new(error));
    match law {
        Law::V2 if sure => tally.correct(|evidence| evidence.final_failure = false),
        Law::V1 | Law::V2 => doubted(tally, ended_at, heard_at).errored = false,
    }
}

/// Takes the first way out of a doubt. A read-only call changed nothing, so it is not in doubt.
pub(super) fn leave(ctx: &mut TransitionContext<'_>, step: usize, direction: Direction) {
    if ctx.in_doubt(step, direction) {
        resolve(ctx, step, direction);
    } else {
        ctx.no_effect(step, direction);
    }
}

/// Puts a call in doubt, or extends its doubt. The doubt dates from the latest end of its attempts, because an
/// earlier attempt that its owner gave up may still run.
fn doubted(tally: &mut Tally, ended_at: Millis, heard_at: Millis) -> &mut Evidence {
    if tally.evidence().doubt_at.is_none() {
        tally.probes_forgiven = tally.probes;
    }
    let evidence = tally.evidence_mut();
    evidence.doubt_at = Some(evidence.doubt_at.unwrap_or(ended_at).max(ended_at));
    evidence.heard_at = Some(heard_at);
    evidence.final_failure = false;
    evidence
}

/// Handles an error that the participant answered; the error may have come after the effect. The probe is asked at
/// once, and again after the settle window. A repeat would meet the same error, so only a retriable action or a
/// compensation is repeated.
pub(super) fn errored(ctx: &mut TransitionContext<'_>, step: usize, direction: Direction, error: Error) {
    let at = ctx.at;
    let sure = ctx.call(step, direction).is_some_and(|call| call.effect.is_never_in_doubt());
    let law = ctx.law();
    let tally = ctx.step_mut(step).tally_mut(direction);
    tally.error = Some(Box::new(error));
    if sure || law == Law::V1 {
        tally.evidence_mut().final_failure = true;
        return failed(ctx, step, direction, Refusal { answers_key: false, renew_key: false });
    }
    doubted(tally, at, at).errored = true;
    resolve(ctx, step, direction);
}

/// Handles an attempt that definitely had no effect. The failure proves nothing about an earlier attempt under the
/// same key with an unknown outcome: the participant may have refused before it looked the key up. So the doubt
/// stays, and the probe is asked first.
pub(super) fn failed(ctx: &mut TransitionContext<'_>, step: usize, direction: Direction, refusal: Refusal) {
    if !ctx.in_doubt(step, direction) {
        return refused(ctx, step, direction, refusal);
    }
    let tally = ctx.state.steps[step].tally(direction);
    let Some(call) = ctx.call(step, direction) else { return };
    if retry::probe_left(call, tally) {
        return ctx.set(step, direction, Activity::Settling { until: ctx.at });
    }
    if ctx.law() >= Law::V2 && refusal.answers_key && call.probe.is_none() && !tally.evidence().pending {
        let settled_at = settled_at(ctx, step, direction);
        if tally.attempt_at.is_some_and(|began| began >= settled_at) {
            return refused(ctx, step, direction, refusal);
        }
        // The participant refused while the earlier attempt could still land. A repeat after the settle window gives
        // the proof.
        if let Some(Activity::BackingOff { until }) = activity(ctx, step, direction, Resolution::Repeat) {
            let until = until.max(settled_at);
            return ctx.set(step, direction, Activity::BackingOff { until });
        }
    }
    resolve(ctx, step, direction);
}

/// Handles a definite failure when no attempt of the call can have had an effect.
fn refused(ctx: &mut TransitionContext<'_>, step: usize, direction: Direction, refusal: Refusal) {
    if refusal.renew_key && ctx.law() >= Law::V2 {
        ctx.renew_key(step, direction);
    }
    ctx.no_effect(step, direction);
}

/// Handles a call that the participant accepted and may carry out or not. Asks the probe later; without a probe,
/// waits for an event.
pub(super) fn pending(
    ctx: &mut TransitionContext<'_>,
    step: usize,
    direction: Direction,
    retry_after_ms: Option<Millis>,
) {
    let (at, jitter) = (ctx.at, ctx.jitter);
    let law = ctx.law();
    let tally = ctx.step_mut(step).tally_mut(direction);
    let evidence = doubted(tally, at, at);
    (evidence.pending, evidence.errored) = (law >= Law::V2, false);
    let first_at = tally.first_at.unwrap_or(at);
    let Some(call) = ctx.call(step, direction) else { return };
    let activity = match &call.probe {
        Some(probe) => {
            let pause = retry_after_ms.unwrap_or_else(|| retry::pause_ms(&probe.retry, 1, jitter));
            Activity::Settling { until: at.saturating_add(pause) }
        }
        None => Activity::Awaiting { until: call.deadline_ms.map(|deadline| first_at.saturating_add(deadline)) },
    };
    ctx.set(step, direction, activity);
}

/// Handles a probe that found no effect. The answer proves nothing if the probe was sent before the settle window
/// ended, however late the answer came: a late effect could still land. It proves nothing either if the answer came
/// after the participant may have forgotten the key, however early the probe was sent: the participant may have
/// looked only then.
pub(super) fn absent(ctx: &mut TransitionContext<'_>, step: usize, direction: Direction) {
    let settled_at = settled_at(ctx, step, direction);
    let tally = ctx.step_mut(step).tally_mut(direction);
    if tally.evidence().probed_at.is_none_or(|asked_at| asked_at < settled_at) {
        tally.probes_forgiven += 1;
        return ctx.set(step, direction, Activity::Settling { until: settled_at });
    }
    let pending = tally.evidence().pending;
    match ctx.law() {
        Law::V1 => {}
        Law::V2 if is_forgotten(ctx, step, direction) => {
            let message = "the probe found no effect, and the participant may have forgotten the key (`key_lifetime`)";
            return inconclusive(ctx, step, direction, Error::new(KEY_FORGOTTEN, message));
        }
        // "Not found" may mean "not yet". Only an explicit answer proves that an accepted call will not take effect.
        Law::V2 if pending && !says_absent(ctx, step, direction) => {
            let message = "the call was accepted, and the probe has no `absent` predicate that proves that it failed";
            return inconclusive(ctx, step, direction, Error::new("not_yet", message));
        }
        Law::V2 if is_final(ctx, step, direction) => {
            let tally = ctx.step_mut(step).tally_mut(direction);
            tally.evidence_mut().final_failure = true;
            if pending {
                let message = "the participant accepted the call, and the probe says that it was not carried out";
                tally.error = Some(Box::new(Error::new("not_carried_out", message)));
            }
        }
        Law::V2 => ctx.renew_key(step, direction),
    }
    ctx.no_effect(step, direction);
}

/// Returns whether the participant may have forgotten the key of the attempts in doubt.
fn is_forgotten(ctx: &TransitionContext<'_>, step: usize, direction: Direction) -> bool {
    let tally = ctx.state.steps[step].tally(direction);
    ctx.call(step, direction).is_some_and(|call| retry::forgotten(call, tally, ctx.at))
}

/// Returns the time from which a compensation must not begin; none if there is no limit. While the action is in
/// doubt, the compensation may know only the action's key. Once the participant may have forgotten that key, a
/// compensation that finds nothing proves nothing.
pub(super) fn compensates_before(definition: &Definition, state: &State, step: usize) -> Option<Millis> {
    let planned = definition.step(state, step);
    let (action, compensation) = (planned.call(Direction::Action)?, planned.compensation.as_ref()?);
    let tally = &state.steps[step].action;
    let by_key = state.law >= Law::V2 && in_doubt(state.law, Some(action), tally);
    by_key.then(|| retry::lands_before(action, tally, compensation)).flatten()
}

/// Returns whether it is too late to compensate an action in doubt.
pub(super) fn compensates_too_late(ctx: &TransitionContext<'_>, step: usize, at: Millis) -> bool {
    compensates_before(ctx.definition, &ctx.state, step).is_some_and(|before| at >= before)
}

/// Goes back to the doubt about the action. The compensation may not find the effect any more, so the outcome of the
/// action must be known first.
pub(super) fn reopen(ctx: &mut TransitionContext<'_>, step: usize) {
    let message = "the compensation may find nothing although the action took effect: the participant may have \
                   forgotten the key (`key_lifetime`)";
    ctx.step_mut(step).action.error = Some(Box::new(Error::new(KEY_FORGOTTEN, message)));
    resolve(ctx, step, Direction::Action);
}

/// Returns whether the probe has an `absent` predicate of its own.
fn says_absent(ctx: &TransitionContext<'_>, step: usize, direction: Direction) -> bool {
    let probe = ctx.call(step, direction).and_then(|call| call.probe.as_ref());
    probe.is_some_and(|probe| probe.absent.is_some())
}

/// Returns whether proof of absence ends a call for good. It does if the participant accepted the call and it came to
/// nothing. It also does if the participant answered an error to an action that may still turn the saga back.
fn is_final(ctx: &TransitionContext<'_>, step: usize, direction: Direction) -> bool {
    let tally = ctx.state.steps[step].tally(direction);
    tally.evidence().pending || tally.evidence().errored && !goes_on(ctx, step, direction)
}

/// Returns whether a call can only go forward: the saga cannot turn back instead of it.
fn goes_on(ctx: &TransitionContext<'_>, step: usize, direction: Direction) -> bool {
    match direction {
        Direction::Action => ctx.kind(step) == Kind::Retriable,
        Direction::Compensation => true,
    }
}

/// Handles a probe that found no answer.
pub(super) fn inconclusive(ctx: &mut TransitionContext<'_>, step: usize, direction: Direction, error: Error) {
    let tally = ctx.step_mut(step).tally_mut(direction);
    tally.error = Some(Box::new(error));
    let tally = ctx.state.steps[step].tally(direction);
    let again = ctx.call(step, direction).filter(|call| retry::probe_left(call, tally)).and_then(|call| {
        let asked = tally.probes - tally.probes_forgiven;
        let pause = retry::pause_ms(&call.probe.as_ref()?.retry, asked, ctx.jitter);
        Some(ctx.at.saturating_add(pause))
    });
    match again {
        Some(until) => ctx.set(step, direction, Activity::Settling { until }),
        None => resolve(ctx, step, direction),
    }
}

/// Returns the ways out of a doubt, the best first. [`activity`] says which of them are open.
fn order(ctx: &TransitionContext<'_>, step: usize, direction: Direction, onward: bool) -> &'static [Resolution] {
    let tally = ctx.state.steps[step].tally(direction);
    match (direction, onward) {
        (Direction::Compensation, _) if tally.evidence().errored => &[Resolution::Probe, Resolution::Repeat],
        (Direction::Compensation, _) => &[Resolution::Repeat, Resolution::Probe],
        (Direction::Action, true) if tally.evidence().final_failure || tally.evidence().errored => {
            &[Resolution::Probe, Resolution::LeaveOpen, Resolution::Repeat]
        }
        (Direction::Action, true) => &[Resolution::Repeat, Resolution::Probe, Resolution::LeaveOpen],
        (Direction::Action, false) => &[Resolution::LeaveOpen, Resolution::Probe, Resolution::Repeat],
    }
}

/// Takes the next way out of a doubt. If none is open, the step needs a person.
pub(super) fn resolve(ctx: &mut TransitionContext<'_>, step: usize, direction: Direction) {
    let onward = ctx.state.course == Course::Forward && ctx.state.turn_back.is_none();
    let order = order(ctx, step, direction, onward);
    let found = order.iter().find_map(|resolution| activity(ctx, step, direction, *resolution));
    let Some(activity) = found else { return ctx.mark_stuck(step, direction, StuckReason::InDoubt) };
    ctx.set(step, direction, activity);
    match activity {
        Activity::Unresolved { .. } if onward => {
            let error = ctx.last_error(step);
            ctx.turn_back(TurnBack::StepFailed { step, error });
        }
        Activity::Unresolved { .. }
        | Activity::BackingOff { .. }
        | Activity::Settling { .. }
        | Activity::Attempting
        | Activity::Probing
        | Activity::Awaiting { .. }
        | Activity::Showing
        | Activity::Asking { .. }
        | Activity::Sleeping { .. } => {}
    }
}

/// Looks for a better way out when the saga turns back. The action is in doubt and waits for a repeat or for a
/// person.
pub(super) fn reconsider(ctx: &mut TransitionContext<'_>, step: usize) {
    let direction = Direction::Action;
    let better: &[Resolution] = match ctx.state.steps[step].phase {
        Phase::Stuck { .. } => &[Resolution::LeaveOpen],
        Phase::Active { .. } => &[Resolution::LeaveOpen, Resolution::Probe],
        Phase::Waiting | Phase::Deciding | Phase::Skipped | Phase::Done | Phase::Failed | Phase::Undone(_) => &[],
    };
    if let Some(activity) = better.iter().find_map(|resolution| activity(ctx, step, direction, *resolution)) {
        ctx.set(step, direction, activity);
    }
}

/// Returns the activity of a way out, if that way is open.
fn activity(
    ctx: &TransitionContext<'_>,
    step: usize,
    direction: Direction,
    resolution: Resolution,
) -> Option<Activity> {
    let call = ctx.call(step, direction)?;
    let tally = ctx.state.steps[step].tally(direction);
    // Under law V2 only a person can resolve a doubt about a transactional call: see `unknown`.
    let by_hand = ctx.law() >= Law::V2 && call.is_transactional();
    match resolution {
        Resolution::Repeat | Resolution::LeaveOpen if tally.evidence().pending || by_hand => None,
        Resolution::Repeat if tally.evidence().errored && !goes_on(ctx, step, direction) => None,
        Resolution::Repeat => {
            let done = tally.attempts - tally.attempts_forgiven;
            let until = ctx.at.saturating_add(retry::pause_ms(&call.retry, done, ctx.jitter));
            let until = match ctx.law() {
                Law::V1 => until,
                Law::V2 => ctx.rested(step, direction, until),
            };
            let may = retry::budget_left(call, tally, until) && may_repeat(ctx, step, direction, until);
            may.then_some(Activity::BackingOff { until })
        }
        Resolution::Probe if retry::probe_left(call, tally) => Some(Activity::Settling { until: ctx.at }),
        Resolution::Probe => {
            // Whatever the probe answered before, it is asked once after the settle window.
            let settled_at = settled_at(ctx, step, direction);
            let asked = tally.evidence().probed_at.is_some_and(|asked_at| asked_at >= settled_at);
            let may = ctx.law() >= Law::V2 && call.probe.is_some() && !asked;
            may.then_some(Activity::Settling { until: settled_at })
        }
        Resolution::LeaveOpen => {
            let planned = ctx.definition.step(&ctx.state, step);
            let safe = planned.irreversible || planned.safe_when_absent && planned.compensation.is_some();
            let until = settled_at(ctx, step, direction);
            let in_time = !compensates_too_late(ctx, step, until.max(ctx.at));
            let may = planned.kind == Kind::Compensable && safe && in_time && !ctx.state.is_committed();
            may.then_some(Activity::Unresolved { until })
        }
    }
}

/// Returns whether a call in doubt may be repeated at `at`.
pub(super) fn may_repeat(ctx: &TransitionContext<'_>, step: usize, direction: Direction, at: Millis) -> bool {
    let tally = ctx.state.steps[step].tally(direction);
    let late = direction == Direction::Compensation && compensates_too_late(ctx, step, at);
    !late && ctx.call(step, direction).is_some_and(|call| retry::repeatable(call, tally, at))
}

/// Returns the end of the settle window of the present doubt.
fn settled_at(ctx: &TransitionContext<'_>, step: usize, direction: Direction) -> Millis {
    let doubt_at = ctx.state.steps[step].tally(direction).evidence().doubt_at.unwrap_or(ctx.at);
    doubt_at.saturating_add(ctx.call(step, direction).map_or(0, |call| call.settle_ms))
}

/// Returns whether a wait for an event belongs to a pending call. Otherwise it belongs to an `Await` step.
pub(super) fn is_pending(ctx: &TransitionContext<'_>, step: usize, direction: Direction) -> bool {
    match direction {
        Direction::Compensation => true,
        Direction::Action => match ctx.definition.step(&ctx.state, step).action {
            Action::Call(_) => true,
            Action::Await { .. } | Action::Sleep { .. } | Action::Approval { .. } => false,
        },
    }
}
