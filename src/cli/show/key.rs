//! `amends show KEY`: finds the call to which an idempotency key belongs.
//!
//! Leaves the text of keys to the core.

use uuid::Uuid;

use super::super::failure::{Exit, Failure};
use crate::saga::event::{Direction, Event};
use crate::saga::key::{Key, notice_key};
use crate::saga::state::{Origin, State};
use crate::saga::{Definition, Law};
use crate::store;

/// Subject of `amends show`.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) saga: Uuid,
    /// A key, or the key as a UUID or as hexadecimal digits.
    pub(super) key: Option<String>,
}

impl Subject {
    /// Parses one of three forms: the id of a saga; a key, which begins with that id; or an id with a key in a form
    /// without the id.
    pub(super) fn read(text: &str, key: Option<&str>) -> Result<Self, Failure> {
        let text = text.trim();
        if let Ok(saga) = Uuid::try_parse(text) {
            return Ok(Self { saga, key: key.map(|key| key.trim().to_owned()) });
        }
        // Keys of notices begin with the id of the saga too.
        let saga = text.get(..36).and_then(|id| Uuid::try_parse(id).ok());
        match saga {
            Some(saga) => Ok(Self { saga, key: Some(text.to_owned()) }),
            None => Err(Failure::usage(format!(
                "expected the id of a saga or an idempotency key such as ID-charge-a0, found {text:?}; of a key \
                 that was sent as `key_uuid` or `key_hex`, name the saga too: amends show ID KEY"
            ))),
        }
    }

    /// Returns the failure for an unknown id, which may be a key in another form.
    pub(super) fn not_found(&self) -> Failure {
        let error = store::Error::UnknownSaga(self.saga);
        let message = format!(
            "{error}; if it is a key that was sent as `key_uuid` or `key_hex`, name its saga too: amends show ID KEY"
        );
        Failure::new(Exit::NotFound, message)
    }
}

/// Describes the call to which a key belongs.
pub(super) fn explain(saga: Uuid, definition: &Definition, state: &State, events: &[Event], key: &str) -> String {
    let found = (0..state.steps.len()).flat_map(|index| {
        let step = &*definition.step(state, index).name;
        let origin = state.steps[index].origin;
        [Direction::Action, Direction::Compensation].into_iter().flat_map(move |direction| {
            let newest = state.steps[index].tally(direction).generation;
            // An effect that was taken over has a key of the saga that made the call.
            let origin = origin.filter(|_| direction == Direction::Action);
            let Origin { saga, law } = origin.unwrap_or(Origin { saga, law: state.law });
            (0..=newest).map(move |generation| (index, law, Key { saga, step, direction, generation }))
        })
    });
    let mut found = found.into_iter();
    match found.find(|(_, law, one)| is_form_of(key, &one.text(*law))) {
        Some((_, _, Key { saga: other, step, direction, generation })) if other != saga => format!(
            "key {key}: the {} of step {step}, generation {generation}, called by saga {other}; this saga took \
             over its outcome",
            direction.as_str()
        ),
        Some((index, _, Key { step, direction, generation, .. })) => {
            let attempts = attempts(definition, events, index, direction, generation);
            format!("key {key}: the {} of step {step}, generation {generation}, {attempts}", direction.as_str())
        }
        None => match notice(saga, state.law, events.len(), key) {
            Some((event, row)) => format!("key {key}: the notice {event} of row {row}"),
            None => format!("key {key}: no call of this saga has this key"),
        },
    }
}

/// Returns the notice with this key: its event and the journal row that it reports.
fn notice(saga: Uuid, law: Law, rows: usize, key: &str) -> Option<(&'static str, i32)> {
    let rows = i32::try_from(rows).unwrap_or(i32::MAX);
    let mut all = ["on_stuck", "on_end"].into_iter().flat_map(|event| (1..=rows).map(move |row| (event, row)));
    all.find(|(event, row)| is_form_of(key, &notice_key(saga, event, *row, law)))
}

/// Returns whether a text is the key, or the key in a form that expressions offer (`key_uuid`, `key_hex`).
fn is_form_of(text: &str, plain: &str) -> bool {
    let uuid = Key::uuid(plain);
    text == plain
        || text.eq_ignore_ascii_case(&uuid.to_string())
        || text.eq_ignore_ascii_case(&uuid.as_simple().to_string())
}

/// Describes the attempts under a key.
fn attempts(definition: &Definition, events: &[Event], step: usize, direction: Direction, generation: u32) -> String {
    let under_key = crate::cli::show::timeline::attempts_under(definition, events, step, direction, generation);
    match under_key.as_slice() {
        [] => "no attempt under this key yet".to_owned(),
        [one] => format!("attempt {one}"),
        [first, .., last] => format!("attempts {first} to {last}"),
    }
}
