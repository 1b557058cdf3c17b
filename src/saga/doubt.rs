//! Unknown is an answer. Owns the ways out of doubt and their order: repeat under the same key, ask the
//! probe, leave it open where the compensation is safe either way, call a person. Unknown is never rounded to
//! failed here.

use super::advance;
use super::definition::{Action, Call, Kind, Millis};
use super::event::Direction;
use super::law::Law;
use super::outcome::{Error, TRANSACTION_ENDED};
use super::plan::Definition;
use super::retry;
use super::state::{Activity, Course, Evidence, Phase, State, StuckReason, Tally, TurnBack};
use super::turn::{Turn, in_doubt};

/// Code of the error of a call whose probe was answered too late to prove anything.
const KEY_FORGOTTEN: &str = "key_forgotten";

/// A way out of doubt.
#[derive(Clone, Copy)]
enum Means {
    /// The same call under the same key; its answer tells.
    Repeat,
    /// The participant is asked.
    Probe,
    /// It need not be known: the compensation is safe either way, or the effect may stay.
    LeaveOpen,
}

/// What a definite failure says besides.
#[derive(Clone, Copy)]
pub(super) struct Refusal {
    /// It was given after the key was looked up, so it speaks of every attempt under the key.
    pub(super) answers_key: bool,
    /// It is repeated under the same key.
    pub(super) renew_key: bool,
}

/// An attempt ended, by `ended_at`, and its effect is unknown.
pub(super) fn unknown(
    turn: &mut Turn<'_>,
    step: usize,
    direction: Direction,
    error: Error,
    ended_at: Millis,
) {
    let recorded_together = turn.call(step, direction).is_some_and(Call::is_transactional);
    let heard_at = turn.at;
    if recorded_together && turn.law() >= Law::V2 && error.code == TRANSACTION_ENDED {
        // What its handler committed by itself stays, and no means of ours finds it.
        let tally = turn.state.step_mut(step).tally_mut(direction);
        tally.error = Some(Box::new(error));
        let evidence = tally.evidence_mut();
        (evidence.doubt_at, evidence.heard_at) = (Some(ended_at), Some(heard_at));
        return turn.stick(step, direction, StuckReason::InDoubt);
    }
    enter(turn, step, direction, error, ended_at);
    leave(turn, step, direction);
}

/// The call is in doubt from now on, and nothing is done about it yet.
pub(super) fn enter(turn: &mut Turn<'_>, step: usize, direction: Direction, error: Error, ended_at: Millis) {
    let sure = turn.call(step, direction).is_some_and(|call| call.effect.is_never_in_doubt());
    let (law, heard_at) = (turn.law(), turn.at);
    let tally = turn.state.step_mut(step).tally_mut(direction);
    tally.error = Some(Box::new(error));
    match law {
        Law::V2 if sure => tally.correct(|evidence| evidence.final_failure = false),
        Law::V1 | Law::V2 => doubted(tally, ended_at, heard_at).errored = false,
    }
}

/// The first way out of a doubt. What only reads has changed nothing, so there is no doubt about it.
pub(super) fn leave(turn: &mut Turn<'_>, step: usize, direction: Direction) {
    if turn.in_doubt(step, direction) {
        resolve(turn, step, direction);
    } else {
        turn.no_effect(step, direction);
    }
}

/// Dates a doubt by the last attempt that is part of it: an earlier one may have been given up by its owner
/// and still run.
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

/// The participant answered with an error, which may have come after the effect. It is asked at once, and again when a
/// late effect has had its time. A repeat would meet the same error, so only what must go on is repeated.
pub(super) fn errored(turn: &mut Turn<'_>, step: usize, direction: Direction, error: Error) {
    let at = turn.at;
    let sure = turn.call(step, direction).is_some_and(|call| call.effect.is_never_in_doubt());
    let law = turn.law();
    let tally = turn.state.step_mut(step).tally_mut(direction);
    tally.error = Some(Box::new(error));
    if sure || law == Law::V1 {
        tally.evidence_mut().final_failure = true;
        return failed(turn, step, direction, Refusal { answers_key: false, renew_key: false });
    }
    doubted(tally, at, at).errored = true;
    resolve(turn, step, direction);
}

/// An attempt definitely had no effect. That says nothing of an earlier attempt under the same key whose end is
/// unknown: it may have been refused before the participant looked at the key. So the doubt stays, and the probe is
/// asked first.
pub(super) fn failed(turn: &mut Turn<'_>, step: usize, direction: Direction, refusal: Refusal) {
    if !turn.in_doubt(step, direction) {
        return refused(turn, step, direction, refusal);
    }
    let tally = turn.state.steps[step].tally(direction);
    let Some(call) = turn.call(step, direction) else { return };
    if retry::probe_left(call, tally) {
        return turn.set(step, direction, Activity::Settling { until: turn.at });
    }
    if turn.law() >= Law::V2 && refusal.answers_key && call.probe.is_none() && !tally.evidence().pending {
        let settled_at = settled_at(turn, step, direction);
        if tally.attempt_at.is_some_and(|began| began >= settled_at) {
            return refused(turn, step, direction, refusal);
        }
        // Asked while the attempt before could still land: the same question later tells.
        if let Some(Activity::BackingOff { until }) = activity(turn, step, direction, Means::Repeat) {
            let until = until.max(settled_at);
            return turn.set(step, direction, Activity::BackingOff { until });
        }
    }
    resolve(turn, step, direction);
}

/// No attempt of the call has had an effect.
fn refused(turn: &mut Turn<'_>, step: usize, direction: Direction, refusal: Refusal) {
    if refusal.renew_key && turn.law() >= Law::V2 {
        turn.renew_key(step, direction);
    }
    turn.no_effect(step, direction);
}

/// The participant accepted the call and will carry it out or not: ask its probe later, or wait to be told.
pub(super) fn pending(
    turn: &mut Turn<'_>,
    step: usize,
    direction: Direction,
    retry_after_ms: Option<Millis>,
) {
    let (at, chance) = (turn.at, turn.chance);
    let law = turn.law();
    let tally = turn.state.step_mut(step).tally_mut(direction);
    let evidence = doubted(tally, at, at);
    (evidence.pending, evidence.errored) = (law >= Law::V2, false);
    let first_at = tally.first_at.unwrap_or(at);
    let Some(call) = turn.call(step, direction) else { return };
    let activity = match &call.probe {
        Some(probe) => {
            let pause = retry_after_ms.unwrap_or_else(|| retry::pause_ms(&probe.retry, 1, chance));
            Activity::Settling { until: at.saturating_add(pause) }
        }
        None => {
            Activity::Awaiting { until: call.deadline_ms.map(|deadline| first_at.saturating_add(deadline)) }
        }
    };
    turn.set(step, direction, activity);
}

/// The probe found no effect. When it was asked before the settle window had passed that proves nothing,
/// however late the answer came: a late effect could still land behind it. Nor does it when the answer came after the
/// participant may have forgotten the key, however early it was asked: it may have looked as late as that.
pub(super) fn absent(turn: &mut Turn<'_>, step: usize, direction: Direction) {
    let settled_at = settled_at(turn, step, direction);
    let tally = turn.state.step_mut(step).tally_mut(direction);
    if tally.evidence().asked_at.is_none_or(|asked_at| asked_at < settled_at) {
        tally.probes_forgiven += 1;
        return turn.set(step, direction, Activity::Settling { until: settled_at });
    }
    let pending = tally.evidence().pending;
    match turn.law() {
        Law::V1 => {}
        Law::V2 if is_forgotten(turn, step, direction) => {
            let message =
                "the probe found no effect, and the participant may have forgotten the key (`key_lifetime`)";
            return inconclusive(turn, step, direction, Error::new(KEY_FORGOTTEN, message));
        }
        // "Not found" may mean "not yet": of what was accepted only word of its own proves that it will not come.
        Law::V2 if pending && !says_absent(turn, step, direction) => {
            let message =
                "the call was accepted, and the probe has no `absent` of its own that says it failed";
            return inconclusive(turn, step, direction, Error::new("not_yet", message));
        }
        Law::V2 if is_final(turn, step, direction) => {
            let tally = turn.state.step_mut(step).tally_mut(direction);
            tally.evidence_mut().final_failure = true;
            if pending {
                let message = "the participant accepted the call, and the probe says that it came to nothing";
                tally.error = Some(Box::new(Error::new("not_carried_out", message)));
            }
        }
        Law::V2 => turn.renew_key(step, direction),
    }
    turn.no_effect(step, direction);
}

/// Whether the participant may have forgotten the key of the attempts in doubt.
fn is_forgotten(turn: &Turn<'_>, step: usize, direction: Direction) -> bool {
    let tally = turn.state.steps[step].tally(direction);
    turn.call(step, direction).is_some_and(|call| retry::forgotten(call, tally, turn.at))
}

/// From when on a compensation must not begin. Of an action in doubt it may know no more than the key: once the
/// participant may have forgotten that, a compensation that finds nothing to undo proves nothing.
pub(super) fn compensates_before(definition: &Definition, state: &State, step: usize) -> Option<Millis> {
    let planned = definition.step(state, step);
    let (action, compensation) = (planned.call(Direction::Action)?, planned.compensation.as_ref()?);
    let tally = &state.steps[step].action;
    let by_key = state.law >= Law::V2 && in_doubt(state.law, Some(action), tally);
    by_key.then(|| retry::lands_before(action, tally, compensation)).flatten()
}

/// Whether it is too late for a compensation of an action in doubt.
pub(super) fn compensates_too_late(turn: &Turn<'_>, step: usize, at: Millis) -> bool {
    compensates_before(turn.definition, &turn.state, step).is_some_and(|before| at >= before)
}

/// The compensation may not find the effect any more: what became of the action must be known first.
pub(super) fn reopen(turn: &mut Turn<'_>, step: usize) {
    let message = "the compensation may find nothing although the action took effect: the participant may have \
                   forgotten the key (`key_lifetime`)";
    turn.state.step_mut(step).action.error = Some(Box::new(Error::new(KEY_FORGOTTEN, message)));
    resolve(turn, step, Direction::Action);
}

/// Whether the probe says by a predicate of its own that there is no effect.
fn says_absent(turn: &Turn<'_>, step: usize, direction: Direction) -> bool {
    let probe = turn.call(step, direction).and_then(|call| call.probe.as_ref());
    probe.is_some_and(|probe| probe.absent.is_some())
}

/// Whether proof of absence ends a call for good: it was accepted and came to nothing, or it is an action that may
/// still turn the saga back and met an error.
fn is_final(turn: &Turn<'_>, step: usize, direction: Direction) -> bool {
    let tally = turn.state.steps[step].tally(direction);
    tally.evidence().pending || tally.evidence().errored && !goes_on(turn, step, direction)
}

/// Whether a call can only go forward: nothing is left to turn back to.
fn goes_on(turn: &Turn<'_>, step: usize, direction: Direction) -> bool {
    match direction {
        Direction::Action => turn.kind(step) == Kind::Retriable,
        Direction::Compensation => true,
    }
}

/// The probe could not tell.
pub(super) fn inconclusive(turn: &mut Turn<'_>, step: usize, direction: Direction, error: Error) {
    let tally = turn.state.step_mut(step).tally_mut(direction);
    tally.error = Some(Box::new(error));
    let tally = turn.state.steps[step].tally(direction);
    let again = turn.call(step, direction).filter(|call| retry::probe_left(call, tally)).and_then(|call| {
        let asked = tally.probes - tally.probes_forgiven;
        let pause = retry::pause_ms(&call.probe.as_ref()?.retry, asked, turn.chance);
        Some(turn.at.saturating_add(pause))
    });
    match again {
        Some(until) => turn.set(step, direction, Activity::Settling { until }),
        None => resolve(turn, step, direction),
    }
}

/// The ways out of a doubt, the best first. Which of them are open says [`activity`].
fn order(turn: &Turn<'_>, step: usize, direction: Direction, onward: bool) -> &'static [Means] {
    let tally = turn.state.steps[step].tally(direction);
    match (direction, onward) {
        (Direction::Compensation, _) if tally.evidence().errored => &[Means::Probe, Means::Repeat],
        (Direction::Compensation, _) => &[Means::Repeat, Means::Probe],
        (Direction::Action, true) if tally.evidence().final_failure || tally.evidence().errored => {
            &[Means::Probe, Means::LeaveOpen, Means::Repeat]
        }
        (Direction::Action, true) => &[Means::Repeat, Means::Probe, Means::LeaveOpen],
        (Direction::Action, false) => &[Means::LeaveOpen, Means::Probe, Means::Repeat],
    }
}

/// Chooses the next way out of doubt, or calls a person.
pub(super) fn resolve(turn: &mut Turn<'_>, step: usize, direction: Direction) {
    let onward = turn.state.course == Course::Forward && turn.state.turn_back.is_none();
    let order = order(turn, step, direction, onward);
    let found = order.iter().find_map(|means| activity(turn, step, direction, *means));
    let Some(activity) = found else { return turn.stick(step, direction, StuckReason::InDoubt) };
    turn.set(step, direction, activity);
    match activity {
        Activity::Unresolved { .. } if onward => {
            let error = turn.last_error(step);
            turn.turn_back(TurnBack::StepFailed { step, error });
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

/// The saga turns back while this action is in doubt and would be repeated, or waits for a person: a better
/// way may be open now.
pub(super) fn reconsider(turn: &mut Turn<'_>, step: usize) {
    let direction = Direction::Action;
    let better: &[Means] = match turn.state.steps[step].phase {
        Phase::Stuck { .. } => &[Means::LeaveOpen],
        Phase::Active { .. } => &[Means::LeaveOpen, Means::Probe],
        Phase::Waiting
        | Phase::Deciding
        | Phase::Skipped
        | Phase::Done
        | Phase::Failed
        | Phase::Undone(_) => &[],
    };
    if let Some(activity) = better.iter().find_map(|means| activity(turn, step, direction, *means)) {
        turn.set(step, direction, activity);
    }
}

/// The activity by which a means is tried, if it may be.
fn activity(turn: &Turn<'_>, step: usize, direction: Direction, means: Means) -> Option<Activity> {
    let call = turn.call(step, direction)?;
    let tally = turn.state.steps[step].tally(direction);
    // Under the newest law a doubt about these has no way out but a person: see `unknown`.
    let by_hand = turn.law() >= Law::V2 && call.is_transactional();
    match means {
        Means::Repeat | Means::LeaveOpen if tally.evidence().pending || by_hand => None,
        Means::Repeat if tally.evidence().errored && !goes_on(turn, step, direction) => None,
        Means::Repeat => {
            let done = tally.attempts - tally.attempts_forgiven;
            let until = turn.at.saturating_add(retry::pause_ms(&call.retry, done, turn.chance));
            let until = match turn.law() {
                Law::V1 => until,
                Law::V2 => turn.rested(step, direction, until),
            };
            let may = retry::budget_left(call, tally, until) && may_repeat(turn, step, direction, until);
            may.then_some(Activity::BackingOff { until })
        }
        Means::Probe if retry::probe_left(call, tally) => Some(Activity::Settling { until: turn.at }),
        Means::Probe => {
            // Whatever it has answered before, it is asked once when a late effect has had its time.
            let settled_at = settled_at(turn, step, direction);
            let asked = tally.evidence().asked_at.is_some_and(|asked_at| asked_at >= settled_at);
            let may = turn.law() >= Law::V2 && call.probe.is_some() && !asked;
            may.then_some(Activity::Settling { until: settled_at })
        }
        Means::LeaveOpen => {
            let planned = turn.definition.step(&turn.state, step);
            let safe = planned.irreversible || planned.safe_when_absent && planned.compensation.is_some();
            let until = settled_at(turn, step, direction);
            let in_time = !compensates_too_late(turn, step, until.max(turn.at));
            let may = planned.kind == Kind::Compensable && safe && in_time && !advance::committed(turn);
            may.then_some(Activity::Unresolved { until })
        }
    }
}

/// Whether a call in doubt may be made once more at `at`.
pub(super) fn may_repeat(turn: &Turn<'_>, step: usize, direction: Direction, at: Millis) -> bool {
    let tally = turn.state.steps[step].tally(direction);
    let late = direction == Direction::Compensation && compensates_too_late(turn, step, at);
    !late && turn.call(step, direction).is_some_and(|call| retry::repeatable(call, tally, at))
}

/// When the settle window of the present doubt ends.
fn settled_at(turn: &Turn<'_>, step: usize, direction: Direction) -> Millis {
    let doubt_at = turn.state.steps[step].tally(direction).evidence().doubt_at.unwrap_or(turn.at);
    doubt_at.saturating_add(turn.call(step, direction).map_or(0, |call| call.settle_ms))
}

/// Whether a wait for an event is a pending call's, and not a step that awaits by its nature.
pub(super) fn is_pending(turn: &Turn<'_>, step: usize, direction: Direction) -> bool {
    match direction {
        Direction::Compensation => true,
        Direction::Action => match turn.definition.step(&turn.state, step).action {
            Action::Call(_) => true,
            Action::Await { .. } | Action::Sleep { .. } | Action::Approval { .. } => false,
        },
    }
}
