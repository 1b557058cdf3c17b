//! Counts what happens to sagas. Owns which event moves which metric; names and labels are in `metrics.rs`. The core
//! neither logs nor counts.

use std::sync::OnceLock;
use std::time::Duration;

use ::metrics::{Counter, Histogram, SharedString};

use crate::metrics;
use crate::saga::Definition;
use crate::saga::definition::Millis;
use crate::saga::event::{AttemptEnded, Direction, Event, ProbeAnswered, Request};
use crate::saga::outcome::{Answer, Outcome};
use crate::saga::state::{Phase, State, Status, StepState, Undone};

/// Metrics of one definition. A metric that every saga moves is looked up once, at its first use. A rare one is
/// looked up at each use.
pub(crate) struct SagaMetrics {
    name: SharedString,
    started: OnceLock<Counter>,
    /// Count and duration of ended sagas, by status.
    ended: [OnceLock<(Counter, Histogram)>; Status::ALL.len()],
    /// By step, then by direction: the action before the compensation. The last entry covers all appended steps.
    calls: Vec<[Call; 2]>,
}

/// Metrics of one step in one direction.
struct Call {
    labels: [SharedString; 3],
    /// Duration of an attempt.
    seconds: OnceLock<Histogram>,
    /// Duration of the step, from its first attempt.
    took: OnceLock<Histogram>,
    /// Ended attempts, by [`OUTCOMES`].
    attempts: [OnceLock<Counter>; OUTCOMES.len()],
    /// Times that the step came to rest, by [`RESTS`].
    ended: [OnceLock<Counter>; RESTS.len()],
}

/// Outcomes of an attempt.
const OUTCOMES: [&str; 6] = ["succeeded", "failed_retryable", "failed", "pending", "errored", "unknown"];

/// States in which a step rests. It leaves one only when the saga turns back or a person acts.
const RESTS: [&str; 8] =
    ["done", "skipped", "failed", "compensated", "nothing_to_undo", "left_in_place", "by_hand", "stuck"];

impl SagaMetrics {
    pub(crate) fn for_definition(definition: &Definition) -> Self {
        let name = SharedString::from_shared(definition.name().into());
        let steps = definition.steps().iter().map(|planned| planned.step.name.as_str());
        let calls = steps.chain([metrics::APPENDED]).map(|step| {
            let step = SharedString::from_shared(step.into());
            [Direction::Action, Direction::Compensation].map(|direction| Call {
                labels: [name.clone(), step.clone(), direction.as_str().into()],
                seconds: OnceLock::new(),
                took: OnceLock::new(),
                attempts: Default::default(),
                ended: Default::default(),
            })
        });
        Self { calls: calls.collect(), name, started: OnceLock::new(), ended: Default::default() }
    }

    /// Counts a saga that began on this node.
    pub(crate) fn started(&self) {
        self.started.get_or_init(|| metrics::SAGAS_STARTED.with([self.name.clone()])).increment(1);
    }

    /// Counts a saga that ended on this node, and records its duration.
    pub(crate) fn ended(&self, state: &State, now_ms: u64) {
        let status = state.status();
        let (ended, duration) = self.ended[status as usize].get_or_init(|| {
            let labels = || [self.name.clone(), status.as_str().into()];
            (metrics::SAGAS_ENDED.with(labels()), metrics::SAGA_SECONDS.with(labels()))
        });
        ended.increment(1);
        duration.record(now_ms.saturating_sub(state.started_at) as f64 / 1_000.0);
    }

    /// Counts an event, and the changes of steps that it made from `old` to `new`.
    pub(crate) fn decided(&self, event: &Event, old: Option<&State>, new: &State) {
        match event {
            Event::AttemptEnded(event) => self.attempt(event),
            Event::ProbeAnswered(event) => self.probe(event),
            Event::Requested(event) => signal(event.request.verb(), "applied"),
            Event::RequestRefused(event) => signal(verb(&event.verb), "refused"),
            Event::Started(_)
            | Event::ConditionDecided(_)
            | Event::ApprovalShown(_)
            | Event::TimerFired(_)
            | Event::OwnerLost(_)
            | Event::Withdrawn(_) => {}
        }
        let changed = match old {
            Some(old) => new.steps.changed_since(&old.steps),
            None => (0..new.steps.len()).collect(),
        };
        for index in changed {
            let (before, step) = (old.and_then(|old| old.steps.get(index)), &new.steps[index]);
            if before.map(|before| &before.phase) != Some(&step.phase) {
                self.step_ended(index, step, new.at);
            }
        }
        let was_stuck = old.is_some_and(|old| old.stuck().is_some());
        if !was_stuck && new.stuck().is_some() {
            self.became_stuck();
        }
    }

    /// Counts a saga that now needs a person.
    pub(crate) fn became_stuck(&self) {
        metrics::SAGAS_STUCK.with([self.name.clone()]).increment(1);
    }

    /// Records the duration of an attempt, including user code and network.
    pub(crate) fn took(&self, step: usize, direction: Direction, time: Duration) {
        let call = self.call(step, direction);
        call.seconds.get_or_init(|| metrics::ATTEMPT_SECONDS.with(call.labels.clone())).record(time);
    }

    fn step_ended(&self, step: usize, state: &StepState, at: Millis) {
        let (direction, rest) = match &state.phase {
            Phase::Done => (Direction::Action, 0),
            Phase::Skipped => (Direction::Action, 1),
            Phase::Failed => (Direction::Action, 2),
            Phase::Undone(Undone::Compensated) => (Direction::Compensation, 3),
            Phase::Undone(Undone::Nothing) => (Direction::Compensation, 4),
            Phase::Undone(Undone::LeftInPlace) => (Direction::Compensation, 5),
            Phase::Undone(Undone::ByHand) => (Direction::Compensation, 6),
            Phase::Stuck { direction, .. } => (*direction, 7),
            Phase::Waiting | Phase::Deciding | Phase::Active { .. } => return,
        };
        let call = self.call(step, direction);
        if let Some(first_at) = state.tally(direction).first_at {
            let took = call.took.get_or_init(|| metrics::STEP_SECONDS.with(call.labels.clone()));
            took.record(at.saturating_sub(first_at) as f64 / 1_000.0);
        }
        call.ended[rest].get_or_init(|| metrics::STEPS_ENDED.with(call.and(RESTS[rest]))).increment(1);
    }

    fn attempt(&self, event: &AttemptEnded) {
        let outcome = match &event.outcome {
            Outcome::Succeeded { .. } => 0,
            Outcome::Failed { retryable: true, .. } => 1,
            Outcome::Failed { retryable: false, .. } => 2,
            Outcome::Pending { .. } => 3,
            Outcome::Errored { .. } => 4,
            Outcome::Unknown { .. } => 5,
        };
        let call = self.call(event.step, event.direction);
        if event.attempt > 1 {
            metrics::RETRIES.with(call.labels.clone()).increment(1);
        }
        if let Outcome::Unknown { error, .. } | Outcome::Errored { error, .. } = &event.outcome {
            if error.code == "panic" {
                metrics::PANICS.with(["handler".into()]).increment(1);
            }
            metrics::IN_DOUBT.with(call.labels.clone()).increment(1);
        }
        let counter = &call.attempts[outcome];
        counter.get_or_init(|| metrics::ATTEMPTS.with(call.and(OUTCOMES[outcome]))).increment(1);
    }

    fn probe(&self, event: &ProbeAnswered) {
        let answer = match &event.answer {
            Answer::Applied { .. } => "applied",
            Answer::Absent => "absent",
            Answer::Inconclusive { .. } => "inconclusive",
        };
        metrics::PROBES.with(self.call(event.step, event.direction).and(answer)).increment(1);
    }

    fn call(&self, step: usize, direction: Direction) -> &Call {
        &self.calls[step.min(self.calls.len() - 1)][direction as usize]
    }
}

impl Call {
    /// Returns the labels and one more.
    fn and(&self, last: &'static str) -> [SharedString; 4] {
        let [name, step, direction] = self.labels.clone();
        [name, step, direction, last.into()]
    }
}

impl std::fmt::Debug for SagaMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Counts({})", self.name)
    }
}

/// Returns the verb as a label from a closed set. The journal's verb may be any text that a client wrote into a
/// signal.
fn verb(text: &str) -> &'static str {
    Request::VERBS.into_iter().find(|verb| *verb == text).unwrap_or("unknown")
}

fn signal(verb: &'static str, fate: &'static str) {
    metrics::SIGNALS.with([verb.into(), fate.into()]).increment(1);
}
