//! The transition function of sagas: `(definition, state, event) -> (state, commands)`, pure and total. Folds a
//! journal into a state and applies each event to the step that it names. `advance.rs` then moves the whole saga,
//! `doubt.rs` resolves doubts, `request.rs` applies requests, and `owner_loss.rs` handles the loss of an owner. The
//! idea of a legal-transition function over a log comes from steno.

use std::sync::Arc;

use super::advance;
use super::agenda::Agenda;
use super::approval;
use super::asker::Asker;
use super::command::Command;
use super::definition::Millis;
use super::doubt::{self, Refusal};
use super::event::{
    AttemptEnded, ConditionDecided, Decision, Direction, Event, ProbeAnswered, RequestRefused, Started,
};
use super::law::Law;
use super::outcome::{Answer, Outcome};
use super::owner_loss;
use super::plan::Definition;
use super::request;
use super::rerun;
use super::retry;
use super::state::{Activity, Course, Phase, State, StepState};
use super::traits::Traits;
use super::transition_context::TransitionContext;

/// An event that is illegal in this state. The state is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct IllegalEvent {
    /// What was expected, and what was found.
    pub what: String,
}

/// Prefix of the reason of a refusal: the request came after a deadline.
pub const DEADLINE_PASSED: &str = "deadline_passed";

impl IllegalEvent {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }

    /// Makes the error for a request that was made after a deadline.
    pub(super) fn deadline_passed(what: &str) -> Self {
        Self::new(format!("{DEADLINE_PASSED}: {what}"))
    }
}

/// Begins a saga. Returns the state after its first row, and the commands to carry out.
pub fn begin(definition: &Definition, started: &Started) -> (State, Vec<Command>) {
    let state = State {
        law: started.law,
        input: started.input.clone(),
        traceparent: started.traceparent.clone(),
        started_by: started.by.clone().map(|name| Arc::new(Asker { name, claims: started.claims.clone() })),
        started_at: started.at.saturating_sub(started.waited_ms),
        at: started.at,
        course: Course::Forward,
        paused: false,
        turn_back: None,
        steps: rerun::first_steps(definition, started),
        appended: Arc::default(),
        lease_until: definition.lease_ms().map(|lease| started.at.saturating_add(lease)),
        plan_expired: false,
        mailbox: Arc::default(),
        signals_seen: 0,
    };
    // The deadline may have passed before a node took the saga up.
    let ends_waits = started.law == Law::V1;
    let (at, agenda) = (started.at, Agenda::Every);
    let mut ctx = TransitionContext { definition, state, at, jitter: 0.0, ends_waits, moved: false, agenda };
    advance::advance(&mut ctx);
    let commands = outstanding(&ctx.state);
    (ctx.state, commands)
}

/// Applies one event. Returns the new state and its new commands: those that the old state did not ask for. After
/// `OwnerLost` it returns every command of the new state.
pub fn transition(
    definition: &Definition,
    state: &State,
    event: &Event,
) -> Result<(State, Vec<Command>), IllegalEvent> {
    transition_with(definition, state, event, Agenda::new)
}

/// Applies one event as [`transition`] does, with an agenda that is made from the state before it and the event's time.
#[inline(always)]
pub(super) fn transition_with(
    definition: &Definition,
    state: &State,
    event: &Event,
    agenda: impl Fn(&Definition, &State, Millis) -> Agenda,
) -> Result<(State, Vec<Command>), IllegalEvent> {
    if state.end().is_some() {
        return Err(IllegalEvent::new("the saga has ended and accepts no more events"));
    }
    let (at, jitter) = moment(state, event);
    let ends_waits = state.law == Law::V1 || matches!(event, Event::TimerFired(_));
    let agenda = agenda(definition, state, at);
    let mut ctx = TransitionContext { definition, state: state.clone(), at, jitter, ends_waits, moved: false, agenda };
    ctx.state.at = at;
    match event {
        Event::Started(_) => return Err(IllegalEvent::new("the saga has started already")),
        Event::ConditionDecided(event) => condition_decided(&mut ctx, event)?,
        Event::ApprovalShown(event) => approval::shown(&mut ctx, event)?,
        Event::AttemptEnded(event) => attempt_ended(&mut ctx, event)?,
        Event::ProbeAnswered(event) => probe_answered(&mut ctx, event)?,
        Event::TimerFired(_) => match advance::next_timer(definition, state) {
            Some(due) if due <= at => {}
            Some(due) => {
                let what = format!("expected a timer not before {due}, found one at {at}");
                return Err(IllegalEvent::new(what));
            }
            None => return Err(IllegalEvent::new("the saga waits for no timer")),
        },
        Event::OwnerLost(event) => owner_loss::lost(&mut ctx, event)?,
        Event::Withdrawn(event) => owner_loss::withdrawn(&mut ctx, event)?,
        Event::Requested(event) => request::requested(&mut ctx, event)?,
        Event::RequestRefused(event) => request_refused(&mut ctx, event)?,
    }
    if !matches!(event, Event::Withdrawn(_)) {
        advance::advance(&mut ctx);
    }
    let commands = match event {
        Event::OwnerLost(_) => outstanding(&ctx.state),
        Event::Started(_)
        | Event::ConditionDecided(_)
        | Event::ApprovalShown(_)
        | Event::AttemptEnded(_)
        | Event::ProbeAnswered(_)
        | Event::TimerFired(_)
        | Event::Withdrawn(_)
        | Event::Requested(_)
        | Event::RequestRefused(_) => new_commands(state, &ctx.state),
    };
    Ok((ctx.state, commands))
}

/// Folds a journal into its state and drops the commands. The first event must be `Started`.
pub fn replay<'a>(definition: &Definition, events: impl IntoIterator<Item = &'a Event>) -> Result<State, IllegalEvent> {
    let mut events = events.into_iter();
    let Some(Event::Started(started)) = events.next() else {
        return Err(IllegalEvent::new("expected a journal that begins with `started`"));
    };
    let (first, _) = begin(definition, started);
    events.try_fold(first, |state, event| Ok(transition(definition, &state, event)?.0))
}

/// Returns all commands that the state asks for. A new owner carries them out after it has reported `OwnerLost`.
pub fn outstanding(state: &State) -> Vec<Command> {
    if state.end().is_some() {
        return Vec::new();
    }
    let commanded = state.steps.having(Traits::COMMANDED);
    commanded.filter_map(|index| command_of(index, &state.steps[index])).collect()
}

/// Returns the commands that the new state asks for and the old state did not.
fn new_commands(old: &State, new: &State) -> Vec<Command> {
    if new.end().is_some() {
        return Vec::new();
    }
    // Nearly every transition asks for one command.
    let mut commands = Vec::with_capacity(1);
    new.steps.each_changed(&old.steps, |index, step, before| {
        let command = command_of(index, step);
        if command != before.and_then(|before| command_of(index, before)) {
            commands.extend(command);
        }
    });
    commands
}

/// Returns the command that one step asks for.
pub(super) fn command_of(step: usize, state: &StepState) -> Option<Command> {
    match &state.phase {
        Phase::Deciding => Some(Command::Decide { step }),
        Phase::Active { direction, activity } => {
            let (direction, tally) = (*direction, state.tally(*direction));
            let (attempt, probe, generation) = (tally.attempts, tally.probes, tally.generation);
            match activity {
                Activity::Attempting => Some(Command::Execute { step, direction, attempt, generation }),
                Activity::Probing => Some(Command::Probe { step, direction, probe, generation }),
                Activity::Showing => Some(Command::Show { step }),
                Activity::BackingOff { .. }
                | Activity::Settling { .. }
                | Activity::Unresolved { .. }
                | Activity::Awaiting { .. }
                | Activity::Asking { .. }
                | Activity::Sleeping { .. } => None,
            }
        }
        Phase::Waiting | Phase::Skipped | Phase::Done | Phase::Failed | Phase::Undone(_) | Phase::Stuck { .. } => None,
    }
}

/// Returns the time and the jitter of an event. A clock may step back between owners; the time of a saga never does.
fn moment(state: &State, event: &Event) -> (Millis, f64) {
    let (at, jitter) = match event {
        Event::Started(event) => (event.at, 0.0),
        Event::ConditionDecided(event) => (event.at, 0.0),
        Event::ApprovalShown(event) => (event.at, 0.0),
        Event::AttemptEnded(event) => (event.at, event.jitter),
        Event::ProbeAnswered(event) => (event.at, event.jitter),
        Event::TimerFired(event) => (event.at, 0.0),
        Event::OwnerLost(event) => (event.at, event.jitter),
        Event::Withdrawn(event) => (event.at, 0.0),
        Event::Requested(event) => (event.at, 0.0),
        Event::RequestRefused(event) => (event.at, 0.0),
    };
    (at.max(state.at), jitter)
}

fn condition_decided(ctx: &mut TransitionContext<'_>, event: &ConditionDecided) -> Result<(), IllegalEvent> {
    let step = event.step;
    if ctx.state.steps.get(step).map(|one| &one.phase) != Some(&Phase::Deciding) {
        return Err(IllegalEvent::new(format!("the condition of step {step} is not being decided")));
    }
    ctx.step_mut(step).action.lost = 0;
    match &event.decision {
        Decision::Skip => ctx.change(step, |one| one.phase = Phase::Skipped),
        Decision::Run => {
            ctx.change(step, |one| one.phase = Phase::Waiting);
            if advance::may_start(ctx) {
                advance::start(ctx, step);
            }
        }
        Decision::Failed(error) => {
            ctx.step_mut(step).action.error = Some(Box::new(error.clone()));
            ctx.fail(step, Direction::Action);
        }
    }
    Ok(())
}

fn attempt_ended(ctx: &mut TransitionContext<'_>, event: &AttemptEnded) -> Result<(), IllegalEvent> {
    let AttemptEnded { step, direction, attempt, .. } = *event;
    let expected = Phase::Active { direction, activity: Activity::Attempting };
    let current =
        ctx.state.steps.get(step).is_some_and(|one| one.phase == expected && one.tally(direction).attempts == attempt);
    if !current {
        let word = direction.as_str();
        return Err(IllegalEvent::new(format!("attempt {attempt} of the {word} of step {step} is not in flight")));
    }
    if ctx.state.steps[step].tally(direction).lost > 0 {
        ctx.step_mut(step).tally_mut(direction).lost = 0;
    }
    match (ctx.law(), &event.outcome) {
        (Law::V1, Outcome::Unknown { .. }) => {}
        (Law::V1 | Law::V2, outcome) => ctx.rest(step, direction, outcome.retry_after_ms()),
    }
    match &event.outcome {
        Outcome::Succeeded { output } => ctx.succeed(step, direction, output.clone()),
        Outcome::Failed { error, retryable, retry_after_ms: _, answers_key, renew_key } => {
            let tally = ctx.step_mut(step).tally_mut(direction);
            tally.error = Some(Box::new(error.clone()));
            if *retryable {
                tally.correct(|evidence| evidence.final_failure = false);
            } else {
                tally.evidence_mut().final_failure = true;
            }
            let refusal = Refusal { answers_key: *answers_key, renew_key: *renew_key };
            doubt::failed(ctx, step, direction, refusal);
        }
        Outcome::Pending { retry_after_ms } => {
            doubt::pending(ctx, step, direction, retry::asked_pause_ms(*retry_after_ms));
        }
        Outcome::Errored { error, retry_after_ms: _ } => {
            doubt::errored(ctx, step, direction, error.clone());
        }
        Outcome::Unknown { error, retry_after_ms: _ } => {
            doubt::unknown(ctx, step, direction, error.clone(), ctx.at);
        }
    }
    if ctx.law() == Law::V1 {
        // Under law V1 a pause delays only the attempt that is scheduled right now.
        ctx.step_mut(step).tally_mut(direction).correct(|evidence| evidence.not_before = None);
    }
    Ok(())
}

fn probe_answered(ctx: &mut TransitionContext<'_>, event: &ProbeAnswered) -> Result<(), IllegalEvent> {
    let ProbeAnswered { step, direction, probe, .. } = *event;
    let expected = Phase::Active { direction, activity: Activity::Probing };
    let current =
        ctx.state.steps.get(step).is_some_and(|one| one.phase == expected && one.tally(direction).probes == probe);
    if !current {
        let word = direction.as_str();
        return Err(IllegalEvent::new(format!("probe {probe} of the {word} of step {step} is not in flight")));
    }
    ctx.step_mut(step).tally_mut(direction).probes_lost = 0;
    match &event.answer {
        Answer::Applied { output } => ctx.succeed(step, direction, output.clone()),
        Answer::Absent => doubt::absent(ctx, step, direction),
        Answer::Inconclusive { error, retry_after_ms } => {
            if ctx.law() >= Law::V2 {
                ctx.rest(step, direction, *retry_after_ms);
            }
            doubt::inconclusive(ctx, step, direction, error.clone());
        }
    }
    Ok(())
}

fn request_refused(ctx: &mut TransitionContext<'_>, event: &RequestRefused) -> Result<(), IllegalEvent> {
    request::next_signal(ctx, event.signal)
}
