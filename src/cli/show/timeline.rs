//! Turns a journal into a timeline by folding it with the core. Owns when each event happened and how long it took.
//!
//! Leaves the words to `words.rs`.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use uuid::Uuid;

use super::call::{self, Lost};
use super::words;
use crate::cli::output::Tone;
use crate::saga::command::Command;
use crate::saga::definition::Millis;
use crate::saga::event::{Direction, Event};
use crate::saga::outcome::{DecidedBy, Error};
use crate::saga::state::State;
use crate::saga::{Definition, IllegalEvent, Json, begin, legal_verbs, next_timer, transition};

/// Timeline of a saga.
#[derive(Debug)]
pub(super) struct Timeline {
    /// Events, in order.
    pub(super) entries: Vec<Entry>,
    /// State of each step.
    pub(super) steps: Vec<StepLine>,
    /// Time of the next timer.
    pub(super) wakes_at: Option<Millis>,
    /// Verbs that are legal now.
    pub(super) legal_verbs: Vec<String>,
}

/// An entry of the timeline: one event.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    /// Number of the row in the journal.
    pub(super) seq: i32,
    #[serde(serialize_with = "as_instant")]
    pub(super) at: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<String>,
    pub(super) text: String,
    #[serde(skip)]
    pub(super) tone: Tone,
    /// Duration of the attempt or probe, from the time at which its intent was durable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) took_ms: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Error>,
    /// The idempotency key of the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    /// Rule that decided the outcome of the attempt or the answer of the probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decided_by: Option<DecidedBy>,
    /// Attempts that were lost with their process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) lost: Vec<Lost>,
    /// Consequences of the event.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) consequences: Vec<String>,
    pub(super) event: Event,
}

/// State of one step.
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
    /// Last error of the compensation, else of the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Error>,
    /// Idempotency key of a call that is in progress or stuck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
}

pub(super) fn as_instant<S: serde::Serializer>(at: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&crate::cli::time::instant(*at))
}

/// Identity of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Call {
    Attempt(usize, Direction, u32),
    Probe(usize, Direction, u32),
}

impl Timeline {
    /// Folds a journal. `now` decides which verbs are legal. Fails if the journal does not fit the definition.
    pub(super) fn new(
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
            let decided_by = call::decided_by(definition, &before, event);
            let said = words::event(definition, &before, event, decided_by.as_ref());
            entries.push(Entry {
                seq: *seq,
                at,
                step: said.step.map(|index| words::name(definition, &after, index)),
                text: said.text,
                tone: said.tone,
                took_ms: call_of(event).and_then(|call| Some(at.saturating_sub(begun.remove(&call)?))),
                error: said.error,
                key: call::key_of_end(saga, definition, &before, event),
                decided_by,
                lost: call::lost(saga, definition, &before, event),
                consequences: words::consequences(definition, &before, &after, at, said.step),
                event: event.clone(),
            });
            begun.extend(commands.iter().filter_map(begins).map(|call| (call, at)));
            state = Some(after);
        }
        let state = state.ok_or_else(|| IllegalEvent { what: "expected a journal, found none".to_owned() })?;
        Ok(Self {
            entries,
            steps: (0..state.steps.len()).map(|index| step_line(saga, definition, &state, index)).collect(),
            wakes_at: next_timer(definition, &state),
            legal_verbs: if state.end().is_some() { Vec::new() } else { legal_verbs(definition, &state, now) },
        })
    }
}

/// Returns the numbers of the attempts of a call under the key of this generation, including attempts in progress.
pub(super) fn attempts_under(
    definition: &Definition,
    events: &[Event],
    step: usize,
    direction: Direction,
    generation: u32,
) -> Vec<u32> {
    let mut state: Option<State> = None;
    let mut found = BTreeSet::new();
    for event in events {
        let followed = match (&state, event) {
            (None, Event::Started(started)) => Some(begin(definition, started)),
            (Some(before), _) => transition(definition, before, event).ok(),
            (None, _) => None,
        };
        let Some((after, commands)) = followed else { break };
        if matches!(event, Event::Withdrawn(_)) {
            // An attempt that had not begun is withdrawn. Its number is used again.
            let begun = after.steps.get(step).map_or(0, |one| one.tally(direction).attempts);
            found.retain(|attempt| *attempt <= begun);
        }
        found.extend(commands.into_iter().filter_map(|command| match command {
            Command::Execute { step: of, direction: way, attempt, generation: under } => {
                ((of, way, under) == (step, direction, generation)).then_some(attempt)
            }
            Command::Probe { .. } | Command::Decide { .. } | Command::Show { .. } => None,
        }));
        state = Some(after);
    }
    found.into_iter().collect()
}

/// Returns the state before the first row.
fn untouched(first: &State) -> State {
    let mut state = first.clone();
    state.steps.reset();
    state
}

fn not_begun(event: &Event) -> IllegalEvent {
    IllegalEvent { what: format!("expected a journal that begins with `started`, found `{}`", event.kind()) }
}

fn step_line(saga: Uuid, definition: &Definition, state: &State, index: usize) -> StepLine {
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
        key: call::key_under_way(saga, definition, state, index),
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

/// Returns the call that an event ends.
fn call_of(event: &Event) -> Option<Call> {
    match event {
        Event::AttemptEnded(event) => Some(Call::Attempt(event.step, event.direction, event.attempt)),
        Event::ProbeAnswered(event) => Some(Call::Probe(event.step, event.direction, event.probe)),
        _ => None,
    }
}

/// Returns the call that a command begins.
fn begins(command: &Command) -> Option<Call> {
    match *command {
        Command::Execute { step, direction, attempt, .. } => Some(Call::Attempt(step, direction, attempt)),
        Command::Probe { step, direction, probe, .. } => Some(Call::Probe(step, direction, probe)),
        Command::Decide { .. } | Command::Show { .. } => None,
    }
}
