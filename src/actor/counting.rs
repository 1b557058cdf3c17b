//! What is counted of a saga's life. Owns which event moves which metric; names and labels are in `metrics.rs`. The core neither
//! logs nor counts.

use ::metrics::SharedString;

use crate::metrics;
use crate::saga::Definition;
use crate::saga::event::{AttemptEnded, Direction, Event, ProbeAnswered};
use crate::saga::outcome::{Answer, Outcome};
use crate::saga::state::State;

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
        Event::RequestRefused(_) => signal("refused", "refused"),
        Event::Started(_)
        | Event::ConditionDecided(_)
        | Event::TimerFired(_)
        | Event::OwnerLost(_)
        | Event::Withdrawn(_) => {}
    }
    let was_stuck = old.is_some_and(|old| old.stuck().is_some());
    if !was_stuck && new.stuck().is_some() {
        metrics::SAGAS_STUCK.with([definition.name().to_owned().into()]).increment(1);
    }
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
    if matches!(event.outcome, Outcome::Unknown { .. }) {
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

fn signal(verb: &'static str, fate: &'static str) {
    metrics::SIGNALS.with([verb.into(), fate.into()]).increment(1);
}

fn labels(definition: &Definition, step: usize, direction: Direction) -> [SharedString; 3] {
    let name = definition.steps().get(step).map_or(metrics::APPENDED.to_owned(), |one| one.step.name.clone());
    [definition.name().to_owned().into(), name.into(), direction.as_str().into()]
}
