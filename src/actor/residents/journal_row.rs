//! Translates a transition into a row of the journal, and into the changes that are written with it. Pure, except
//! that it evaluates the output's expression. Leaves writing to the committer.

use uuid::Uuid;

use super::scope;
use crate::participant::expr;
use crate::saga::event::{Event, Request};
use crate::saga::key::Key;
use crate::saga::state::{End, State, Status, StuckReason};
use crate::saga::{self, Definition, Json};
use crate::store::{self, AnsweredSignal, Transition};

/// Builds the row of the event that led from `old` to `new`; `old` is none before the first row. `output`: the output
/// of a completed saga, if it is known already.
pub(crate) fn build(
    (saga, seq): (Uuid, i32),
    definition: &Definition,
    event: &Event,
    old: Option<&State>,
    new: &State,
    output: Option<Json>,
) -> Transition {
    let body = Json::encode(event).unwrap_or_else(|_| Json::null());
    let mut row = Transition::new(saga, seq, event.kind(), body);
    let status = new.status();
    let before = old.and_then(|old| attention(saga, definition, old));
    row.attention = attention(saga, definition, new);
    let changed = old.map_or(Status::Running, State::status) != status || before != row.attention;
    row.status = (changed && !status.is_end()).then_some(status);
    row.end = new.end().map(|end| {
        let result = output.unwrap_or_else(|| result(saga, definition, event, new, end));
        store::End { status, result: Some(result) }
    });
    row.signal = match event {
        Event::Requested(event) if event.signal > 0 => Some(AnsweredSignal { n: event.signal, refusal: None }),
        Event::RequestRefused(event) => Some(AnsweredSignal { n: event.signal, refusal: Some(event.reason.clone()) }),
        Event::Requested(_)
        | Event::Started(_)
        | Event::ConditionDecided(_)
        | Event::ApprovalShown(_)
        | Event::AttemptEnded(_)
        | Event::ProbeAnswered(_)
        | Event::TimerFired(_)
        | Event::OwnerLost(_)
        | Event::Withdrawn(_) => None,
    };
    row
}

/// Returns the steps in doubt or stuck as the SQL views show them, each with its idempotency key; none if there are
/// none.
fn attention(saga: Uuid, definition: &Definition, state: &State) -> Option<Json> {
    let found = saga::attention(definition, state);
    let shown = found.into_iter().map(|one| {
        let key = Key { saga, step: &one.step, direction: one.direction, generation: one.generation }.text(state.law);
        // Postgres text cannot hold a NUL, and a participant's message may have one.
        let words = |text: String| text.replace('\0', "\u{fffd}");
        serde_json::json!({
            "step": one.step,
            "direction": one.direction,
            "in_doubt": one.in_doubt,
            "stuck": one.stuck.map(StuckReason::as_str),
            "since": one.since,
            "attempts": one.attempts,
            "probes": one.probes,
            "error_code": one.error.as_ref().map(|error| words(error.code.clone())),
            "error": one.error.map(|error| words(error.message)),
            "key": key,
            "legal": one.legal,
        })
    });
    let shown: Vec<_> = shown.collect();
    (!shown.is_empty()).then(|| Json::from(serde_json::Value::Array(shown)))
}

/// Returns the saga's result: the output of a completed saga, or why there is none.
fn result(saga: Uuid, definition: &Definition, event: &Event, state: &State, end: End) -> Json {
    match end {
        End::Completed => output(saga, definition, state),
        End::Compensated => Json::from(serde_json::json!({ "turned_back": state.turn_back })),
        End::Abandoned => match event {
            Event::Requested(event) => match &event.request {
                Request::Abandon { reason } => {
                    Json::from(serde_json::json!({ "abandoned_by": event.by, "reason": reason }))
                }
                Request::Cancel { .. }
                | Request::Retry { .. }
                | Request::Skip { .. }
                | Request::Resolve { .. }
                | Request::Pause { .. }
                | Request::Resume { .. }
                | Request::Evict { .. }
                | Request::Append { .. }
                | Request::Commit
                | Request::Abort { .. }
                | Request::Touch
                | Request::Approve { .. }
                | Request::Deny { .. }
                | Request::Provide { .. } => Json::null(),
            },
            Event::Started(_)
            | Event::ConditionDecided(_)
            | Event::ApprovalShown(_)
            | Event::AttemptEnded(_)
            | Event::ProbeAnswered(_)
            | Event::TimerFired(_)
            | Event::OwnerLost(_)
            | Event::Withdrawn(_)
            | Event::RequestRefused(_) => Json::null(),
        },
    }
}

/// Renders the output template over the outputs of the steps. Without a template, returns an object of all outputs by
/// step. The effects are in place either way, so the error of a failed expression becomes the result.
pub(super) fn output(saga: Uuid, definition: &Definition, state: &State) -> Json {
    match &definition.draft().output {
        Some(template) => match expr::render(template, &scope::of_saga(saga, definition, state)) {
            Ok(output) => output,
            Err(error) => Json::from(serde_json::json!({ "output_error": error })),
        },
        None => {
            let mut text = String::from("{");
            for (index, one) in state.steps.iter().enumerate() {
                let Some(output) = &one.output else { continue };
                if text.len() > 1 {
                    text.push(',');
                }
                // Step names are plain words and need no escaping.
                text.push_str(&format!("\"{}\":{}", definition.step(state, index).name, output.get()));
            }
            text.push('}');
            Json::parse(&text).unwrap_or_else(|_| Json::null())
        }
    }
}
