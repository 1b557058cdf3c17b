//! The law: `(definition, state, event) -> (state, commands)`, pure and total. Owns the fold and what each event does to the one
//! step that it names; what becomes of the saga as a whole follows in `advance.rs`, doubts are resolved in `doubt.rs`, requests in
//! `request.rs`. The idea of a legal-transition function over a log is steno's.

use std::collections::BTreeMap;

use super::advance;
use super::command::Command;
use super::definition::{Action, Call, Effect, Kind, Millis};
use super::doubt;
use super::event::{
    AttemptEnded, ConditionDecided, Decision, Direction, Event, OwnerLost, ProbeAnswered, RequestRefused,
    Started, Withdrawn,
};
use super::outcome::{Answer, Error, Outcome};
use super::plan::Definition;
use super::request;
use super::retry;
use super::state::{Activity, Course, Phase, State, StepState, StuckReason, TurnBack, Undone};

/// How often a process may die during one call before the step waits for a person.
pub const LOST_MAX: u32 = 3;

/// An event that the law does not allow in this state. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct IllegalEvent {
    /// What was expected and what was found.
    pub what: String,
}

impl IllegalEvent {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

/// Begins a saga: the state after its first row, and what to do.
pub fn begin(definition: &Definition, started: &Started) -> (State, Vec<Command>) {
    let state = State {
        input: started.input.clone(),
        started_at: started.at,
        course: Course::Forward,
        paused: false,
        turn_back: None,
        steps: definition.steps().iter().map(|_| StepState::waiting()).collect(),
        appended: Vec::new(),
        lease_until: definition.lease_ms().map(|lease| started.at.saturating_add(lease)),
        mailbox: BTreeMap::new(),
        signals_seen: 0,
    };
    let mut turn = Turn { definition, state, at: started.at, chance: 0.0, moved: false };
    advance::advance(&mut turn);
    let commands = outstanding(&turn.state);
    (turn.state, commands)
}

/// Applies one event. The commands are those that the new state asks for and the old one did not.
pub fn transition(
    definition: &Definition,
    state: &State,
    event: &Event,
) -> Result<(State, Vec<Command>), IllegalEvent> {
    if state.end().is_some() {
        return Err(IllegalEvent::new("the saga has ended; nothing can happen to it any more"));
    }
    let (at, chance) = moment(state, event);
    let mut turn = Turn { definition, state: state.clone(), at, chance, moved: false };
    match event {
        Event::Started(_) => return Err(IllegalEvent::new("the saga has started already")),
        Event::ConditionDecided(event) => condition_decided(&mut turn, event)?,
        Event::AttemptEnded(event) => attempt_ended(&mut turn, event)?,
        Event::ProbeAnswered(event) => probe_answered(&mut turn, event)?,
        Event::TimerFired(event) => match advance::next_timer(definition, state) {
            Some(due) if due <= event.at => {}
            Some(due) => {
                let what = format!("expected a timer not before {due}, found one at {}", event.at);
                return Err(IllegalEvent::new(what));
            }
            None => return Err(IllegalEvent::new("the saga waits for no time")),
        },
        Event::OwnerLost(event) => owner_lost(&mut turn, event)?,
        Event::Withdrawn(event) => withdrawn(&mut turn, event)?,
        Event::Requested(event) => request::requested(&mut turn, event)?,
        Event::RequestRefused(event) => request_refused(&mut turn, event)?,
    }
    if !matches!(event, Event::Withdrawn(_)) {
        advance::advance(&mut turn);
    }
    let commands = match event {
        Event::OwnerLost(_) => outstanding(&turn.state),
        Event::Started(_)
        | Event::ConditionDecided(_)
        | Event::AttemptEnded(_)
        | Event::ProbeAnswered(_)
        | Event::TimerFired(_)
        | Event::Withdrawn(_)
        | Event::Requested(_)
        | Event::RequestRefused(_) => new_commands(state, &turn.state),
    };
    Ok((turn.state, commands))
}

/// Folds a journal into its state; the commands are dropped. The first event must be `Started`.
pub fn replay<'a>(
    definition: &Definition,
    events: impl IntoIterator<Item = &'a Event>,
) -> Result<State, IllegalEvent> {
    let mut events = events.into_iter();
    let Some(Event::Started(started)) = events.next() else {
        return Err(IllegalEvent::new("expected a journal that begins with `started`"));
    };
    let (first, _) = begin(definition, started);
    events.try_fold(first, |state, event| Ok(transition(definition, &state, event)?.0))
}

/// Returns what the state asks its surroundings to do: a new owner carries out these after reporting `OwnerLost`.
pub fn outstanding(state: &State) -> Vec<Command> {
    if state.end().is_some() {
        return Vec::new();
    }
    state.steps.iter().enumerate().filter_map(|(index, step)| command_of(index, step)).collect()
}

/// Commands that the new state asks for and the old one did not.
fn new_commands(old: &State, new: &State) -> Vec<Command> {
    if new.end().is_some() {
        return Vec::new();
    }
    let before = |index: usize| old.steps.get(index).and_then(|step| command_of(index, step));
    new.steps
        .iter()
        .enumerate()
        .filter_map(|(index, step)| command_of(index, step).filter(|command| Some(*command) != before(index)))
        .collect()
}

/// What one step asks for.
fn command_of(step: usize, state: &StepState) -> Option<Command> {
    match &state.phase {
        Phase::Deciding => Some(Command::Decide { step }),
        Phase::Active { direction, activity } => {
            let (direction, tally) = (*direction, state.tally(*direction));
            let (attempt, probe, generation) = (tally.attempts, tally.probes, tally.generation);
            match activity {
                Activity::Attempting => Some(Command::Execute { step, direction, attempt, generation }),
                Activity::Probing => Some(Command::Probe { step, direction, probe, generation }),
                Activity::BackingOff { .. }
                | Activity::Settling { .. }
                | Activity::Unresolved { .. }
                | Activity::Awaiting { .. }
                | Activity::Sleeping { .. } => None,
            }
        }
        Phase::Waiting
        | Phase::Skipped
        | Phase::Done
        | Phase::Failed
        | Phase::Undone(_)
        | Phase::Stuck { .. } => None,
    }
}

/// The time of an event and its chance. Clocks may step back between owners: a saga's own time never does.
fn moment(state: &State, event: &Event) -> (Millis, f64) {
    let (at, chance) = match event {
        Event::Started(event) => (event.at, 0.0),
        Event::ConditionDecided(event) => (event.at, 0.0),
        Event::AttemptEnded(event) => (event.at, event.jitter),
        Event::ProbeAnswered(event) => (event.at, event.jitter),
        Event::TimerFired(event) => (event.at, 0.0),
        Event::OwnerLost(event) => (event.at, event.jitter),
        Event::Withdrawn(event) => (event.at, 0.0),
        Event::Requested(event) => (event.at, 0.0),
        Event::RequestRefused(event) => (event.at, 0.0),
    };
    (at.max(state.started_at), chance)
}

/// One transition under way.
pub(super) struct Turn<'a> {
    pub(super) definition: &'a Definition,
    pub(super) state: State,
    pub(super) at: Millis,
    pub(super) chance: f64,
    /// Something changed in this round of `advance`.
    pub(super) moved: bool,
}

impl Turn<'_> {
    /// The kind of a step.
    pub(super) fn kind(&self, step: usize) -> Kind {
        self.definition.step(&self.state, step).kind
    }

    /// The call of a step in one direction; awaiting and sleeping call nobody.
    pub(super) fn call(&self, step: usize, direction: Direction) -> Option<&Call> {
        let planned = self.definition.step(&self.state, step);
        match direction {
            Direction::Compensation => planned.compensation.as_ref(),
            Direction::Action => match &planned.action {
                Action::Call(call) => Some(call),
                Action::Await { .. } | Action::Sleep { .. } => None,
            },
        }
    }

    /// Puts a step into a phase.
    pub(super) fn put(&mut self, step: usize, phase: Phase) {
        let one = &mut self.state.steps[step];
        self.moved |= one.phase != phase;
        one.phase = phase;
    }

    /// Puts a call into an activity.
    pub(super) fn set(&mut self, step: usize, direction: Direction, activity: Activity) {
        self.put(step, Phase::Active { direction, activity });
    }

    /// A step needs a person.
    pub(super) fn stick(&mut self, step: usize, direction: Direction, reason: StuckReason) {
        self.put(step, Phase::Stuck { direction, reason });
    }

    /// The saga shall turn back; the first reason stands.
    pub(super) fn turn_back(&mut self, why: TurnBack) {
        if self.state.course == Course::Forward && self.state.turn_back.is_none() {
            self.state.turn_back = Some(why);
            self.moved = true;
        }
    }

    /// Begins the next attempt of a call.
    pub(super) fn attempt(&mut self, step: usize, direction: Direction) {
        let at = self.at;
        let tally = self.state.steps[step].tally_mut(direction);
        tally.attempts += 1;
        tally.first_at.get_or_insert(at);
        tally.generation_at.get_or_insert(at);
        self.set(step, direction, Activity::Attempting);
    }

    /// The call took effect.
    pub(super) fn succeed(&mut self, step: usize, direction: Direction, output: super::Json) {
        let one = &mut self.state.steps[step];
        one.tally_mut(direction).doubt_at = None;
        match direction {
            Direction::Action => {
                one.output = Some(output);
                self.put(step, Phase::Done);
            }
            Direction::Compensation => self.put(step, Phase::Undone(Undone::Compensated)),
        }
    }

    /// It is known that the call had no effect so far: the next attempt may use a new key, and is made if it is any use.
    pub(super) fn no_effect(&mut self, step: usize, direction: Direction, pause_least_ms: Millis) {
        let tally = self.state.steps[step].tally_mut(direction);
        tally.doubt_at = None;
        tally.generation += 1;
        tally.generation_at = None;
        let wanted = match direction {
            Direction::Action => self.state.course == Course::Forward && self.state.turn_back.is_none(),
            Direction::Compensation => true,
        };
        let tally = self.state.steps[step].tally(direction);
        let next = self.call(step, direction).filter(|_| wanted && !tally.final_failure).and_then(|call| {
            let pause = retry::pause_ms(&call.retry, tally.attempts - tally.attempts_forgiven, self.chance);
            let until = self.at.saturating_add(pause.max(pause_least_ms));
            retry::budget_left(call, tally, until).then_some(until)
        });
        match next {
            Some(until) => self.set(step, direction, Activity::BackingOff { until }),
            None => self.fail(step, direction),
        }
    }

    /// The call failed for good and had no effect.
    pub(super) fn fail(&mut self, step: usize, direction: Direction) {
        let may_turn_back = match direction {
            Direction::Compensation => false,
            Direction::Action => self.kind(step) != Kind::Retriable && !advance::committed(self),
        };
        if !may_turn_back {
            return self.stick(step, direction, StuckReason::Failed);
        }
        self.put(step, Phase::Failed);
        let drivers_choice = self.state.lease_until.is_some();
        if !drivers_choice {
            self.turn_back(TurnBack::StepFailed { step, error: self.last_error(step) });
        }
    }

    /// The last error of a step's action.
    pub(super) fn last_error(&self, step: usize) -> Error {
        let known = self.state.steps[step].action.error.clone();
        known.unwrap_or_else(|| Error::new("failed", "the step failed without saying why"))
    }
}

fn condition_decided(turn: &mut Turn<'_>, event: &ConditionDecided) -> Result<(), IllegalEvent> {
    let step = event.step;
    if turn.state.steps.get(step).map(|one| &one.phase) != Some(&Phase::Deciding) {
        return Err(IllegalEvent::new(format!("step {step} is not being decided")));
    }
    let one = &mut turn.state.steps[step];
    one.action.lost = 0;
    match &event.decision {
        Decision::Skip => one.phase = Phase::Skipped,
        Decision::Run => {
            one.phase = Phase::Waiting;
            if advance::may_start(turn) {
                advance::start(turn, step);
            }
        }
        Decision::Failed(error) => {
            one.action.error = Some(error.clone());
            turn.fail(step, Direction::Action);
        }
    }
    Ok(())
}

fn attempt_ended(turn: &mut Turn<'_>, event: &AttemptEnded) -> Result<(), IllegalEvent> {
    let AttemptEnded { step, direction, attempt, .. } = *event;
    let expected = Phase::Active { direction, activity: Activity::Attempting };
    let current = turn
        .state
        .steps
        .get(step)
        .is_some_and(|one| one.phase == expected && one.tally(direction).attempts == attempt);
    if !current {
        let word = direction.as_str();
        return Err(IllegalEvent::new(format!(
            "attempt {attempt} of the {word} of step {step} is not in flight"
        )));
    }
    turn.state.steps[step].tally_mut(direction).lost = 0;
    match &event.outcome {
        Outcome::Succeeded { output } => turn.succeed(step, direction, output.clone()),
        Outcome::Failed { error, retryable, retry_after_ms } => {
            let tally = turn.state.steps[step].tally_mut(direction);
            tally.error = Some(error.clone());
            tally.final_failure = !retryable;
            doubt::failed(turn, step, direction, retry_after_ms.unwrap_or(0));
        }
        Outcome::Pending { retry_after_ms } => {
            doubt::pending(turn, step, direction, *retry_after_ms);
        }
        Outcome::Unknown { error } => doubt::unknown(turn, step, direction, error.clone()),
    }
    Ok(())
}

fn probe_answered(turn: &mut Turn<'_>, event: &ProbeAnswered) -> Result<(), IllegalEvent> {
    let ProbeAnswered { step, direction, probe, .. } = *event;
    let expected = Phase::Active { direction, activity: Activity::Probing };
    let current = turn
        .state
        .steps
        .get(step)
        .is_some_and(|one| one.phase == expected && one.tally(direction).probes == probe);
    if !current {
        let word = direction.as_str();
        return Err(IllegalEvent::new(format!(
            "probe {probe} of the {word} of step {step} is not in flight"
        )));
    }
    turn.state.steps[step].tally_mut(direction).lost = 0;
    match &event.answer {
        Answer::Applied { output } => turn.succeed(step, direction, output.clone()),
        Answer::Absent => doubt::absent(turn, step, direction),
        Answer::Inconclusive { error } => doubt::inconclusive(turn, step, direction, error.clone()),
    }
    Ok(())
}

/// What was in flight is lost with its process: attempts are unknown, questions are asked again, and a step that keeps killing
/// its process waits for a person.
fn owner_lost(turn: &mut Turn<'_>, _event: &OwnerLost) -> Result<(), IllegalEvent> {
    if outstanding(&turn.state).is_empty() {
        return Err(IllegalEvent::new("nothing was in flight, so nothing is lost"));
    }
    let error = Error::new("process_died", "the process died while the call was under way");
    for command in outstanding(&turn.state) {
        let (step, direction) = match command {
            Command::Decide { step } => (step, Direction::Action),
            Command::Execute { step, direction, .. } | Command::Probe { step, direction, .. } => {
                (step, direction)
            }
        };
        let read_only = turn.call(step, direction).is_none_or(|call| call.effect == Effect::ReadOnly);
        let tally = turn.state.steps[step].tally_mut(direction);
        tally.lost += 1;
        let poison = tally.lost >= LOST_MAX;
        match command {
            Command::Decide { .. } if poison => {
                turn.stick(step, direction, StuckReason::ProcessDied);
            }
            Command::Decide { .. } => turn.state.steps[step].phase = Phase::Waiting,
            Command::Execute { .. } | Command::Probe { .. } if poison => {
                if !read_only && tally.doubt_at.is_none() {
                    tally.doubt_at = Some(turn.at);
                }
                tally.error = Some(error.clone());
                turn.stick(step, direction, StuckReason::ProcessDied);
            }
            Command::Execute { .. } => doubt::unknown(turn, step, direction, error.clone()),
            Command::Probe { .. } => turn.set(step, direction, Activity::Settling { until: turn.at }),
        }
    }
    Ok(())
}

/// What was asked for and not begun is as if it had not been asked for; the next owner begins it with its first timer.
fn withdrawn(turn: &mut Turn<'_>, event: &Withdrawn) -> Result<(), IllegalEvent> {
    for &step in &event.steps {
        let command = turn.state.steps.get(step).and_then(|one| command_of(step, one));
        let until = turn.at;
        match command {
            None | Some(Command::Decide { .. }) => {
                return Err(IllegalEvent::new(format!(
                    "step {step} has neither an attempt nor a probe to withdraw"
                )));
            }
            Some(Command::Probe { direction, .. }) => {
                turn.state.steps[step].tally_mut(direction).probes -= 1;
                turn.set(step, direction, Activity::Settling { until });
            }
            Some(Command::Execute { direction, .. }) => {
                turn.state.steps[step].tally_mut(direction).attempts -= 1;
                turn.set(step, direction, Activity::BackingOff { until });
            }
        }
    }
    Ok(())
}

fn request_refused(turn: &mut Turn<'_>, event: &RequestRefused) -> Result<(), IllegalEvent> {
    request::next_signal(turn, event.signal)
}
