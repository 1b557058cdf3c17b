//! The journal as a timeline: the fold of the core, watched. Owns what happened when and how long it took;
//! the words are in `words.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use super::words;
use crate::cli::output::Tone;
use crate::saga::command::Command;
use crate::saga::definition::Millis;
use crate::saga::event::{AttemptEnded, Direction, Event};
use crate::saga::key::Key;
use crate::saga::outcome::Error;
use crate::saga::state::{State, StepState};
use crate::saga::{Definition, IllegalEvent, Json, begin, legal_verbs, next_timer, transition};

/// Everything that a journal tells.
#[derive(Debug)]
pub(super) struct Timeline {
    /// What happened, in order.
    pub(super) entries: Vec<Entry>,
    /// Where each step stands.
    pub(super) steps: Vec<StepLine>,
    /// When the saga wakes by itself.
    pub(super) wakes_at: Option<Millis>,
    /// What an operator may ask for now.
    pub(super) legal_verbs: Vec<String>,
}

/// One event.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    /// Place in the journal.
    pub(super) seq: i32,
    #[serde(serialize_with = "as_instant")]
    pub(super) at: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<String>,
    pub(super) text: String,
    #[serde(skip)]
    pub(super) tone: Tone,
    /// How long the attempt or the probe took, from the moment that its intent was durable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) took_ms: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Error>,
    /// The idempotency key of the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    /// What came of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) consequences: Vec<String>,
    pub(super) event: Event,
}

/// One step.
#[derive(Debug, Serialize)]
pub(super) struct StepLine {
    pub(super) step: String,
    pub(super) state: String,
    #[serde(skip)]
    pub(super) tone: Tone,
    pub(super) attempts: u32,
    pub(super) compensation_attempts: u32,
    pub(super) probes: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output: Option<Json>,
    /// The last error of the call that was made last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Error>,
}

pub(super) fn as_instant<S: serde::Serializer>(at: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&crate::cli::time::instant(*at))
}

/// What a call is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Call {
    Attempt(usize, Direction, u32),
    Probe(usize, Direction, u32),
}

impl Timeline {
    /// Folds a journal, and says what is legal at a time. Fails if the journal is not one of this definition.
    pub(super) fn of(
        saga: Uuid,
        definition: &Definition,
        journal: &[(i32, Event)],
        now: Millis,
    ) -> Result<Self, IllegalEvent> {
        let mut state: Option<State> = None;
        let mut begun: HashMap<Call, Millis> = HashMap::new();
        let mut entries = Vec::with_capacity(journal.len());
        for (seq, event) in journal {
            let at = at(event);
            let (after, commands) = match (&state, event) {
                (None, Event::Started(started)) => begin(definition, started),
                (None, _) => return Err(not_begun(event)),
                (Some(before), _) => transition(definition, before, event)?,
            };
            let before = state.unwrap_or_else(|| untouched(&after));
            let said = words::event(definition, &before, event);
            entries.push(Entry {
                seq: *seq,
                at,
                step: said.step.map(|index| words::name(definition, &after, index)),
                text: said.text,
                tone: said.tone,
                took_ms: call_of(event).and_then(|call| Some(at.saturating_sub(begun.remove(&call)?))),
                error: said.error,
                key: key(saga, definition, &before, event),
                consequences: words::consequences(definition, &before, &after, at, said.step),
                event: event.clone(),
            });
            begun.extend(commands.iter().filter_map(begins).map(|call| (call, at)));
            state = Some(after);
        }
        let state =
            state.ok_or_else(|| IllegalEvent { what: "expected a journal, found none".to_owned() })?;
        Ok(Self {
            entries,
            steps: (0..state.steps.len()).map(|index| step_line(definition, &state, index)).collect(),
            wakes_at: next_timer(definition, &state),
            legal_verbs: if state.end().is_some() {
                Vec::new()
            } else {
                legal_verbs(definition, &state, now)
            },
        })
    }
}

/// The idempotency key of an attempt that ended.
fn key(saga: Uuid, definition: &Definition, before: &State, event: &Event) -> Option<String> {
    let Event::AttemptEnded(AttemptEnded { step, direction, .. }) = event else { return None };
    let generation = before.steps.get(*step)?.tally(*direction).generation;
    let name = &definition.planned(before, *step)?.name;
    Some(Key { saga, step: name, direction: *direction, generation }.text(before.law))
}

/// Numbers of the attempts of a call that ended under the key of this generation.
pub(super) fn attempts_under(
    definition: &Definition,
    events: &[Event],
    step: usize,
    direction: Direction,
    generation: u32,
) -> Vec<u32> {
    let mut state: Option<State> = None;
    let mut found = Vec::new();
    for event in events {
        if let (Some(before), Event::AttemptEnded(end)) = (&state, event)
            && (end.step, end.direction) == (step, direction)
            && before.steps.get(step).is_some_and(|one| one.tally(direction).generation == generation)
        {
            found.push(end.attempt);
        }
        state = match (&state, event) {
            (None, Event::Started(started)) => Some(begin(definition, started).0),
            (Some(before), _) => transition(definition, before, event).ok().map(|(after, _)| after),
            (None, _) => None,
        };
    }
    found
}

/// The state before the first row, in which nothing has happened.
fn untouched(first: &State) -> State {
    let mut state = first.clone();
    state.steps.fill(Arc::new(StepState::waiting()));
    state
}

fn not_begun(event: &Event) -> IllegalEvent {
    IllegalEvent { what: format!("expected a journal that begins with `started`, found `{}`", event.kind()) }
}

fn step_line(definition: &Definition, state: &State, index: usize) -> StepLine {
    let step = &state.steps[index];
    let (text, tone) = words::phase(definition, state, index);
    StepLine {
        step: words::name(definition, state, index),
        state: text,
        tone,
        attempts: step.action.attempts,
        compensation_attempts: step.compensation.attempts,
        probes: step.action.probes + step.compensation.probes,
        output: step.output.clone(),
        error: step.compensation.error.as_deref().or(step.action.error.as_deref()).cloned(),
    }
}

fn at(event: &Event) -> Millis {
    match event {
        Event::Started(event) => event.at,
        Event::ConditionDecided(event) => event.at,
        Event::ApprovalShown(event) => event.at,
        Event::AttemptEnded(event) => event.at,
        Event::ProbeAnswered(event) => event.at,
        Event::TimerFired(event) => event.at,
        Event::OwnerLost(event) => event.at,
        Event::Withdrawn(event) => event.at,
        Event::Requested(event) => event.at,
        Event::RequestRefused(event) => event.at,
    }
}

/// The call that an event ends.
fn call_of(event: &Event) -> Option<Call> {
    match event {
        Event::AttemptEnded(event) => Some(Call::Attempt(event.step, event.direction, event.attempt)),
        Event::ProbeAnswered(event) => Some(Call::Probe(event.step, event.direction, event.probe)),
        _ => None,
    }
}

/// The call that a command begins.
fn begins(command: &Command) -> Option<Call> {
    match *command {
        Command::Execute { step, direction, attempt, .. } => Some(Call::Attempt(step, direction, attempt)),
        Command::Probe { step, direction, probe, .. } => Some(Call::Probe(step, direction, probe)),
        Command::Decide { .. } | Command::Show { .. } => None,
    }
}
