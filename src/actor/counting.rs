//! What is counted of a saga's life. Owns which event moves which metric; names and labels are in
//! `metrics.rs`. The core neither logs nor counts.

use std::time::Duration;

use ::metrics::SharedString;

use crate::metrics;
use crate::saga::Definition;
use crate::saga::definition::Millis;
use crate::saga::event::{AttemptEnded, Direction, Event, ProbeAnswered};
use crate::saga::outcome::{Answer, Outcome};
use crate::saga::state::{Phase, State, StepState, Undone};

/// A saga was started on this node.
pub(super) fn started(definition: &Definition) {
    metrics::SAGAS_STARTED.with([definition.name().to_owned().into()]).increment(1);
}

/// A saga has ended on this node.
pub(super) fn ended(definition: &Definition, state: &State, now_ms: u64) {
    let labels =
        || -> [SharedString; 2] { [definition.name().to_owned().into(), state.status().as_str().into()] };
    metrics::SAGAS_ENDED.with(labels()).increment(1);
    let seconds = now_ms.saturating_sub(state.started_at) as f64 / 1_000.0;
    metrics::SAGA_SECONDS.with(labels()).record(seconds);
}

/// An event led from `old` to `new`.
pub(super) fn decided(definition: &Definition, event: &Event, old: Option<&State>, new: &State) {
    match event {
        Event::AttemptEnded(event) => attempt(definition, event),
        Event::ProbeAnswered(event) => probe(definition, event),
        Event::Requested(event) => signal(event.request.verb(), "applied"),
        Event::RequestRefused(event) => signal(verb(&event.verb), "refused"),
        Event::Started(_)
        | Event::ConditionDecided(_)
        | Event::TimerFired(_)
        | Event::OwnerLost(_)
        | Event::Withdrawn(_) => {}
    }
    for (index, step) in new.steps.iter().enumerate() {
        let before = old.and_then(|old| old.steps.get(index)).map(|step| &step.phase);
        if before != Some(&step.phase) {
            step_ended(definition, index, step, new.at);
        }
    }
    let was_stuck = old.is_some_and(|old| old.stuck().is_some());
    if !was_stuck && new.stuck().is_some() {
        became_stuck(definition);
    }
}

/// A saga came to need a person.
pub(super) fn became_stuck(definition: &Definition) {
    metrics::SAGAS_STUCK.with([definition.name().to_owned().into()]).increment(1);
}

/// An attempt took this long, user code and wire included.
pub(super) fn took(definition: &Definition, step: usize, direction: Direction, time: Duration) {
    metrics::ATTEMPT_SECONDS.with(labels(definition, step, direction)).record(time);
}

/// A step came to a rest from which only turning back or a person moves it.
fn step_ended(definition: &Definition, step: usize, state: &StepState, at: Millis) {
    let (direction, outcome) = match &state.phase {
        Phase::Done => (Direction::Action, "done"),
        Phase::Skipped => (Direction::Action, "skipped"),
        Phase::Failed => (Direction::Action, "failed"),
        Phase::Undone(Undone::Compensated) => (Direction::Compensation, "compensated"),
        Phase::Undone(Undone::Nothing) => (Direction::Compensation, "nothing_to_undo"),
        Phase::Undone(Undone::LeftInPlace) => (Direction::Compensation, "left_in_place"),
        Phase::Undone(Undone::ByHand) => (Direction::Compensation, "by_hand"),
        Phase::Stuck { direction, .. } => (*direction, "stuck"),
        Phase::Waiting | Phase::Deciding | Phase::Active { .. } => return,
    };
    let [name, step, way] = labels(definition, step, direction);
    if let Some(first_at) = state.tally(direction).first_at {
        let seconds = at.saturating_sub(first_at) as f64 / 1_000.0;
        metrics::STEP_SECONDS.with([name.clone(), step.clone(), way.clone()]).record(seconds);
    }
    metrics::STEPS_ENDED.with([name, step, way, outcome.into()]).increment(1);
}

fn attempt(definition: &Definition, event: &AttemptEnded) {
    let outcome = match &event.outcome {
        Outcome::Succeeded { .. } => "succeeded",
        Outcome::Failed { retryable: true, .. } => "failed_retryable",
        Outcome::Failed { retryable: false, .. } => "failed",
        Outcome::Pending { .. } => "pending",
        Outcome::Unknown { .. } => "unknown",
    };
    let [name, step, way] = labels(definition, event.step, event.direction);
    if event.attempt > 1 {
        metrics::RETRIES.with([name.clone(), step.clone(), way.clone()]).increment(1);
    }
    if let Outcome::Unknown { error } = &event.outcome {
        if error.code == "panic" {
            metrics::PANICS.with(["handler".into()]).increment(1);
        }
        metrics::IN_DOUBT.with([name.clone(), step.clone(), way.clone()]).increment(1);
    }
    metrics::ATTEMPTS.with([name, step, way, outcome.into()]).increment(1);
}

fn probe(definition: &Definition, event: &ProbeAnswered) {
    let answer = match &event.answer {
        Answer::Applied { .. } => "applied",
        Answer::Absent => "absent",
        Answer::Inconclusive { .. } => "inconclusive",
    };
    let [name, step, way] = labels(definition, event.step, event.direction);
    metrics::PROBES.with([name, step, way, answer.into()]).increment(1);
}

/// The verb as a word of a closed set: the journal's may be whatever somebody wrote into a signal.
fn verb(text: &str) -> &'static str {
    const VERBS: [&str; 12] = [
        "cancel", "retry", "skip", "resolve", "pause", "resume", "abandon", "append", "commit", "abort",
        "touch", "provide",
    ];
    VERBS.into_iter().find(|verb| *verb == text).unwrap_or("unknown")
}

fn signal(verb: &'static str, fate: &'static str) {
    metrics::SIGNALS.with([verb.into(), fate.into()]).increment(1);
}

fn labels(definition: &Definition, step: usize, direction: Direction) -> [SharedString; 3] {
    let name = definition.steps().get(step).map_or(metrics::APPENDED.to_owned(), |one| one.step.name.clone());
    [definition.name().to_owned().into(), name.into(), direction.as_str().into()]
}
