//! Requests of operators and drivers. Owns when a verb is legal and what it does. Roles, outside of the core, decide
//! who may ask.

use std::collections::BTreeSet;

use super::Json;
use super::advance;
use super::approval;
use super::definition::{Action, Call, Millis};
use super::doubt;
use super::driver;
use super::event::{Direction, Event, Finding, Request, Requested};
use super::late;
use super::law::Law;
use super::mailbox;
use super::plan::Definition;
use super::state::{Activity, Course, End, Phase, State, TurnBack, Undone};
use super::transition::{IllegalEvent, transition};
use super::transition_context::TransitionContext;

impl Request {
    /// Returns whether this request, made before a saga has begun, ends the saga and does nothing else. True for a
    /// cancel, and for an abandon with a reason: both are legal in the first state of a saga.
    pub fn calls_off(&self) -> bool {
        match self {
            Self::Cancel { .. } => true,
            Self::Abandon { reason } => !reason.trim().is_empty(),
            Self::Retry { .. }
            | Self::Skip { .. }
            | Self::Resolve { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Evict { .. }
            | Self::Append { .. }
            | Self::Commit
            | Self::Abort { .. }
            | Self::Touch
            | Self::Approve { .. }
            | Self::Deny { .. }
            | Self::Provide { .. } => false,
        }
    }

    /// Names of all verbs.
    pub const VERBS: [&'static str; 15] = [
        "cancel", "retry", "skip", "resolve", "pause", "resume", "abandon", "evict", "append", "commit", "abort",
        "touch", "approve", "deny", "provide",
    ];

    /// Returns the verb, as in the CLI and in SQL: one of [`Request::VERBS`].
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Cancel { .. } => "cancel",
            Self::Retry { .. } => "retry",
            Self::Skip { .. } => "skip",
            Self::Resolve { .. } => "resolve",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Abandon { .. } => "abandon",
            Self::Evict { .. } => "evict",
            Self::Append { .. } => "append",
            Self::Commit => "commit",
            Self::Abort { .. } => "abort",
            Self::Touch => "touch",
            Self::Approve { .. } => "approve",
            Self::Deny { .. } => "deny",
            Self::Provide { .. } => "provide",
        }
    }
}

/// Returns the operator's verbs that are legal at the time `now`, as an operator types them: `cancel`, `resolve
/// charge applied`, `provide approval`. A verb may stop being legal before the operator uses it, because a deadline
/// or a key expires.
pub fn legal_verbs(definition: &Definition, state: &State, now: Millis) -> Vec<String> {
    let at = state.at.max(now);
    let reason = || "asked which verbs are legal".to_owned();
    let mut candidates = vec![
        ("cancel".to_owned(), Request::Cancel { reason: reason() }),
        ("pause".to_owned(), Request::Pause { reason: reason() }),
        ("resume".to_owned(), Request::Resume { reason: reason() }),
        ("abandon".to_owned(), Request::Abandon { reason: reason() }),
    ];
    for (index, one) in state.steps.iter().enumerate() {
        let settled = match one.phase {
            Phase::Skipped | Phase::Done | Phase::Undone(_) => true,
            Phase::Waiting | Phase::Deciding | Phase::Active { .. } | Phase::Failed | Phase::Stuck { .. } => false,
        };
        if settled {
            continue;
        }
        let step = definition.step(state, index).name.clone();
        if let Some(shown) = &one.shown {
            let digest = shown.digest.clone();
            candidates.extend([
                (format!("approve {step}"), Request::Approve { step: step.clone(), digest, reason: reason() }),
                (format!("deny {step}"), Request::Deny { step: step.clone(), reason: reason() }),
            ]);
        }
        let applied = Finding::Applied { output: Json::null() };
        let resolve = |finding| Request::Resolve { step: step.clone(), finding, attempts: None, reason: reason() };
        candidates.extend([
            (format!("retry {step}"), Request::Retry { step: step.clone(), new_key: false, reason: reason() }),
            (format!("skip {step}"), Request::Skip { step: step.clone(), output: Json::null(), reason: reason() }),
            (format!("resolve {step} applied"), resolve(applied)),
            (format!("resolve {step} absent"), resolve(Finding::Absent)),
        ]);
    }
    let events: BTreeSet<String> = (0..state.steps.len())
        .filter_map(|index| mailbox::awaited(definition, state, index))
        .map(|(event, _)| event)
        .collect();
    candidates.extend(
        events.into_iter().map(|event| (format!("provide {event}"), Request::Provide { event, payload: Json::null() })),
    );
    let signal = state.signals_seen + 1;
    let by = String::new();
    let is_legal = |request: Request| {
        let event =
            Event::Requested(Requested { at, asked_at: None, signal, by: by.clone(), by_starter: false, request });
        transition(definition, state, &event).is_ok()
    };
    candidates.into_iter().filter_map(|(verb, request)| is_legal(request).then_some(verb)).collect()
}

/// Counts a signal as handled. Each signal is handled once, in order. Number 0 stands for a request that is no
/// signal.
pub(super) fn next_signal(ctx: &mut TransitionContext<'_>, signal: u64) -> Result<(), IllegalEvent> {
    let seen = ctx.state.signals_seen;
    if signal != 0 && signal <= seen {
        return Err(IllegalEvent::new(format!("signal {signal} was handled already; the last one was {seen}")));
    }
    ctx.state.signals_seen = seen.max(signal);
    Ok(())
}

pub(super) fn requested(ctx: &mut TransitionContext<'_>, event: &Requested) -> Result<(), IllegalEvent> {
    next_signal(ctx, event.signal)?;
    late::in_time(ctx, event)?;
    answer(ctx, event).map_err(|refusal| late::explained(ctx, event, refusal))
}

fn answer(ctx: &mut TransitionContext<'_>, event: &Requested) -> Result<(), IllegalEvent> {
    match &event.request {
        Request::Cancel { reason } => cancel(ctx, &event.by, reason),
        Request::Retry { step, new_key, reason: _ } => retry(ctx, named(ctx, step)?, *new_key),
        Request::Skip { step, output, reason } => {
            reasoned("skip", reason)?;
            skip(ctx, named(ctx, step)?, output)
        }
        Request::Resolve { step, finding, attempts, reason } => {
            reasoned("resolve", reason)?;
            let step = named(ctx, step)?;
            looked_again(ctx, step, *attempts, late::asked_at(ctx, event))?;
            resolve(ctx, step, finding)
        }
        Request::Pause { reason: _ } => pause(ctx, true),
        Request::Resume { reason: _ } => pause(ctx, false),
        Request::Abandon { reason } => {
            reasoned("abandon", reason)?;
            ctx.state.course = Course::Ended(End::Abandoned);
            Ok(())
        }
        Request::Evict { lane: _, reason } => reasoned("evict", reason),
        Request::Append { step } => driver::append(ctx, step),
        Request::Commit => driver::commit(ctx),
        Request::Abort { reason } => {
            driver::driven(ctx)?;
            cancel(ctx, &event.by, reason)
        }
        Request::Touch => {
            driver::driven(ctx)?;
            driver::extend_lease(ctx);
            Ok(())
        }
        Request::Approve { step, digest, reason } => approval::approve(ctx, named(ctx, step)?, event, digest, reason),
        Request::Deny { step, reason } => approval::deny(ctx, named(ctx, step)?, &event.by, reason),
        Request::Provide { event, payload } => mailbox::provide(ctx, event, payload),
    }
}

/// Refuses a finding that is older than the doubt. An attempt that ended after the operator looked, or after the
/// request was made, may have had its effect since.
fn looked_again(
    ctx: &TransitionContext<'_>,
    step: usize,
    attempts: Option<u32>,
    asked_at: Millis,
) -> Result<(), IllegalEvent> {
    let one = &ctx.state.steps[step];
    let (Phase::Active { direction, .. } | Phase::Stuck { direction, .. }) = one.phase else { return Ok(()) };
    let tally = one.tally(direction);
    let seen = attempts.is_none_or(|seen| seen == tally.attempts);
    let asked_since = tally.evidence().heard_at.is_none_or(|heard_at| asked_at >= heard_at);
    if ctx.law() >= Law::V2 && ctx.in_doubt(step, direction) && !(seen && asked_since) {
        return not(ctx, step, "was attempted again after this finding; find out again, then resolve it");
    }
    Ok(())
}

fn named(ctx: &TransitionContext<'_>, name: &str) -> Result<usize, IllegalEvent> {
    ctx.definition.index_of(&ctx.state, name).ok_or_else(|| {
        let known: Vec<_> =
            (0..ctx.state.steps.len()).map(|index| &*ctx.definition.step(&ctx.state, index).name).collect();
        IllegalEvent::new(format!("the saga has no step {name:?}; its steps are {}", known.join(", ")))
    })
}

fn reasoned(verb: &str, reason: &str) -> Result<(), IllegalEvent> {
    if reason.trim().is_empty() {
        return Err(IllegalEvent::new(format!("{verb} needs a reason; the journal keeps it")));
    }
    Ok(())
}

fn cancel(ctx: &mut TransitionContext<'_>, by: &str, reason: &str) -> Result<(), IllegalEvent> {
    if ctx.state.course == Course::Backward || ctx.state.turn_back.is_some() {
        return Err(IllegalEvent::new("the saga is turning back already"));
    }
    if ctx.state.is_committed() {
        let what = "the saga is past its point of no return; it can only go forward or be abandoned";
        return Err(IllegalEvent::new(what));
    }
    ctx.turn_back(TurnBack::Asked { by: by.to_owned(), reason: reason.to_owned() });
    Ok(())
}

fn pause(ctx: &mut TransitionContext<'_>, paused: bool) -> Result<(), IllegalEvent> {
    if ctx.state.paused == paused {
        let word = if paused { "paused already" } else { "not paused" };
        return Err(IllegalEvent::new(format!("the saga is {word}")));
    }
    ctx.state.paused = paused;
    Ok(())
}

/// Attempts a step again now, with a new budget. A call in doubt goes through its ways out again; this never repeats
/// a `once` call in doubt.
fn retry(ctx: &mut TransitionContext<'_>, step: usize, new_key: bool) -> Result<(), IllegalEvent> {
    let at = ctx.at;
    if let Phase::Active { direction, .. } | Phase::Stuck { direction, .. } = ctx.state.steps[step].phase
        && new_key
    {
        if ctx.law() == Law::V1 {
            return not(ctx, step, "takes a new key by itself after a failure; retry it without a new key");
        }
        if ctx.in_doubt(step, direction) {
            return not(ctx, step, "is in doubt; under a new key it could take effect twice");
        }
        ctx.renew_key(step, direction);
    }
    match ctx.state.steps[step].phase {
        Phase::Active { direction, activity } => match activity {
            Activity::BackingOff { .. } => {
                forgive(ctx, step, direction);
                ctx.set(step, direction, Activity::BackingOff { until: at });
            }
            Activity::Settling { .. } => {
                forgive(ctx, step, direction);
                ctx.set(step, direction, Activity::Settling { until: at });
            }
            Activity::Attempting | Activity::Probing | Activity::Showing => {
                return not(ctx, step, "is being tried right now");
            }
            Activity::Unresolved { .. }
            | Activity::Awaiting { .. }
            | Activity::Asking { .. }
            | Activity::Sleeping { .. } => {
                return not(ctx, step, "waits for an event, a person, a time or a step; a retry does not end the wait");
            }
        },
        Phase::Stuck { direction, .. } => retry_stuck(ctx, step, direction)?,
        Phase::Waiting | Phase::Deciding | Phase::Skipped | Phase::Done | Phase::Failed | Phase::Undone(_) => {
            return not(ctx, step, "is neither stuck nor waiting for another attempt");
        }
    }
    Ok(())
}

/// Grants a new budget of attempts and probes.
fn forgive(ctx: &mut TransitionContext<'_>, step: usize, direction: Direction) {
    let tally = ctx.step_mut(step).tally_mut(direction);
    tally.attempts_forgiven = tally.attempts;
    tally.probes_forgiven = tally.probes;
    (tally.lost, tally.probes_lost) = (0, 0);
    tally.first_at = None;
    tally.correct(|evidence| {
        evidence.not_before = None;
        (evidence.final_failure, evidence.errored) = (false, false);
    });
}

fn retry_stuck(ctx: &mut TransitionContext<'_>, step: usize, direction: Direction) -> Result<(), IllegalEvent> {
    let at = ctx.at;
    forgive(ctx, step, direction);
    if ctx.in_doubt(step, direction) {
        doubt::resolve(ctx, step, direction);
        return match ctx.state.steps[step].phase {
            Phase::Stuck { .. } => {
                not(ctx, step, "is in doubt and must not be repeated; find out, then resolve it as applied or absent")
            }
            Phase::Waiting
            | Phase::Deciding
            | Phase::Active { .. }
            | Phase::Skipped
            | Phase::Done
            | Phase::Failed
            | Phase::Undone(_) => Ok(()),
        };
    }
    let begun = ctx.state.steps[step].tally(direction).attempts > 0;
    match direction {
        Direction::Action if !begun => ctx.put(step, Phase::Waiting),
        Direction::Action | Direction::Compensation => {
            ctx.set(step, direction, Activity::BackingOff { until: at });
        }
    }
    Ok(())
}

/// Skips a step. Takes an action as done without calling it, takes a stuck compensation as done by hand, or lets the
/// driver of an open saga go on without a failed step.
fn skip(ctx: &mut TransitionContext<'_>, step: usize, output: &Json) -> Result<(), IllegalEvent> {
    let in_doubt = ctx.in_doubt(step, Direction::Action);
    let turning_back = ctx.state.course == Course::Backward || ctx.state.turn_back.is_some();
    match ctx.state.steps[step].phase {
        Phase::Stuck { direction: Direction::Compensation, .. } => {
            ctx.put(step, Phase::Undone(Undone::ByHand));
            return Ok(());
        }
        Phase::Stuck { .. } | Phase::Active { .. } if in_doubt => {
            return not(ctx, step, "may have taken effect; resolve it as applied or absent instead");
        }
        Phase::Active { direction: Direction::Compensation, .. } => {
            return not(ctx, step, "is being undone");
        }
        Phase::Active { activity: Activity::Attempting | Activity::Probing, .. } => {
            return not(ctx, step, "is being tried right now");
        }
        Phase::Failed if driver::driven(ctx).is_ok() && !ctx.state.steps[step].skipped_by_hand => {
            ctx.change(step, |one| one.skipped_by_hand = true);
            return Ok(());
        }
        Phase::Waiting | Phase::Deciding | Phase::Active { .. } | Phase::Stuck { .. }
            if matches!(ctx.definition.step(&ctx.state, step).action, Action::Approval { .. }) =>
        {
            return not(ctx, step, "asks a person; approve or deny what it shows");
        }
        Phase::Waiting if !turning_back && !advance::barrier_passed(ctx, step) => {
            return not(ctx, step, "comes after steps that are not settled yet; settle those first");
        }
        Phase::Waiting | Phase::Deciding | Phase::Active { .. } | Phase::Stuck { .. } => {}
        Phase::Skipped | Phase::Done | Phase::Failed | Phase::Undone(_) => {
            return not(ctx, step, "is settled already");
        }
    }
    if turning_back {
        return not(ctx, step, "is not needed any more: the saga is turning back");
    }
    ctx.change(step, |one| one.skipped_by_hand = true);
    ctx.succeed(step, Direction::Action, output.clone());
    Ok(())
}

/// Records the outcome of a call in doubt.
fn resolve(ctx: &mut TransitionContext<'_>, step: usize, finding: &Finding) -> Result<(), IllegalEvent> {
    let one = &ctx.state.steps[step];
    let direction = match one.phase {
        Phase::Active { activity: Activity::Attempting, .. } => {
            return not(ctx, step, "is being tried right now; wait for the attempt to end");
        }
        Phase::Active { direction, .. } | Phase::Stuck { direction, .. } => direction,
        Phase::Waiting | Phase::Deciding | Phase::Skipped | Phase::Done | Phase::Failed | Phase::Undone(_) => {
            return not(ctx, step, "is not in doubt");
        }
    };
    let in_doubt = one.tally(direction).evidence().doubt_at.is_some();
    let sure = ctx.call(step, direction).is_some_and(Call::is_transactional);
    if ctx.law() >= Law::V2 && sure && !in_doubt {
        return not(ctx, step, "is never in doubt: its effect and its record are one transaction");
    }
    let tally = ctx.step_mut(step).tally_mut(direction);
    (tally.lost, tally.probes_lost) = (0, 0);
    match (finding, direction) {
        (Finding::Applied { .. }, Direction::Compensation) => ctx.put(step, Phase::Undone(Undone::ByHand)),
        (Finding::Applied { .. } | Finding::Absent, Direction::Action) | (Finding::Absent, _) if !in_doubt => {
            return not(ctx, step, "is not in doubt");
        }
        (Finding::Applied { output }, Direction::Action) => ctx.succeed(step, direction, output.clone()),
        (Finding::Absent, Direction::Action | Direction::Compensation) => ctx.no_effect(step, direction),
    }
    Ok(())
}

/// Refuses a request about a step.
pub(super) fn not(ctx: &TransitionContext<'_>, step: usize, why: &str) -> Result<(), IllegalEvent> {
    let name = &ctx.definition.step(&ctx.state, step).name;
    Err(IllegalEvent::new(format!("step {name:?} {why}")))
}
