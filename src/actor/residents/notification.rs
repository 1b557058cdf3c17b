//! What is told to the outside of a saga: the event that goes into the outbox with a transition, and how it is
//! told later. Owns the event's shape; when it is told is the relay's.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::actor::node::context::Node;
use crate::actor::node::definitions::Pinned;
use crate::participant::{NotReceived, NotificationContext, Scope};
use crate::saga::definition::{Draft, Notice};
use crate::saga::event::{Event, Started};
use crate::saga::key::notice_key;
use crate::saga::outcome::Error;
use crate::saga::state::{State, Status, TurnBack};
use crate::saga::{Definition, Json, Law};
use crate::store::{DefinitionId, Relaying, Transition};

/// Which of a definition's notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Occasion {
    OnStuck,
    OnEnd,
}

impl Occasion {
    /// The word in keys and metrics: the field of the definition.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::OnStuck => "on_stuck",
            Self::OnEnd => "on_end",
        }
    }

    fn notice(self, draft: &Draft) -> Option<&Notice> {
        match self {
            Self::OnStuck => draft.on_stuck.as_ref(),
            Self::OnEnd => draft.on_end.as_ref(),
        }
    }
}

/// An event as it lies in the outbox. Small: input and result are read when it is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Telling {
    pub(crate) event: Occasion,
    /// The law of the saga, and so of the key under which it is told: the journal may be gone by then. None in events
    /// of before, whose sagas are told by the law of their journal.
    law: Option<Law>,
    definition: i32,
    status: String,
    step: Option<String>,
    reason: Option<String>,
}

impl Telling {
    /// The key under which it is told, the same each time, and the saga's input; null when the journal is gone.
    fn key_and_input(&self, event: &Relaying) -> (String, Json) {
        let (begun, input) = match event.started.as_ref().map(Json::decode::<Event>) {
            Some(Ok(Event::Started(Started { law, input, .. }))) => (law, input),
            Some(_) | None => (Law::V1, Json::null()),
        };
        let law = self.law.unwrap_or(begun);
        (notice_key(event.saga, self.event.as_str(), event.seq, law), input)
    }
}

/// The event that a transition puts into the outbox, if the definition tells of it.
pub(crate) fn of(pinned: &Pinned, old: Option<&State>, new: &State, row: &Transition) -> Option<Json> {
    let draft = pinned.definition.draft();
    if !draft.tells() {
        return None;
    }
    let status = new.status();
    let event = match (&row.end, status) {
        (Some(_), _) => Occasion::OnEnd,
        (None, Status::Stuck) if old.is_none_or(|old| old.status() != Status::Stuck) => Occasion::OnStuck,
        (None, _) => return None,
    };
    event.notice(draft)?;
    let (step, reason) = match event {
        Occasion::OnStuck => stuck(&pinned.definition, new),
        Occasion::OnEnd => ended(&pinned.definition, new, row),
    };
    // Postgres reads the event, and no text of it can hold a NUL.
    let reason = reason.map(|reason| reason.replace('\0', "\u{fffd}"));
    let (law, definition, status) = (Some(new.law), pinned.id.0, status.as_str().to_owned());
    Json::encode(&Telling { event, law, definition, status, step, reason }).ok()
}

/// The step that needs a person, and why.
fn stuck(definition: &Definition, state: &State) -> (Option<String>, Option<String>) {
    let Some((index, direction, reason)) = state.stuck() else { return (None, None) };
    let error = state.steps[index].tally(direction).error.as_ref();
    let why = error.map_or_else(String::new, |error| format!(": {error}"));
    let reason = format!("the {} is stuck ({}){why}", direction.as_str(), reason.as_str());
    (Some(definition.step(state, index).name.clone()), Some(reason))
}

/// Why the saga did not complete, and by which step.
fn ended(definition: &Definition, state: &State, row: &Transition) -> (Option<String>, Option<String>) {
    #[derive(Deserialize)]
    struct Abandoned {
        reason: String,
    }
    let abandoned = || {
        let result = row.end.as_ref()?.result.as_ref()?;
        Some(result.decode::<Abandoned>().ok()?.reason)
    };
    match (state.status(), &state.turn_back) {
        (Status::Abandoned, _) => (None, abandoned()),
        (_, None) => (None, None),
        (_, Some(TurnBack::StepFailed { step, error })) => {
            (Some(definition.step(state, *step).name.clone()), Some(error.to_string()))
        }
        (_, Some(TurnBack::Asked { by, reason })) => (None, Some(format!("asked by {by}: {reason}"))),
        (_, Some(TurnBack::Deadline)) => (None, Some("its deadline passed".to_owned())),
        (_, Some(TurnBack::DriverLost)) => (None, Some("its driver was not heard from in time".to_owned())),
    }
}

/// Tells an event to whom the saga's definition names, under a key that is the same each time.
pub(crate) async fn tell(node: &Node, event: &Relaying) -> Result<Occasion, NotReceived> {
    let wrong = |message: String| Error::new("outbox", message);
    let telling: Telling = event.body.decode().map_err(|error| wrong(error.to_string()))?;
    let pinned = node.definitions.get(DefinitionId(telling.definition));
    let pinned = pinned.ok_or_else(|| wrong(format!("definition {} is not known here", telling.definition)))?;
    let notice = telling.event.notice(pinned.definition.draft());
    let notice = notice.ok_or_else(|| wrong("the definition tells nobody of this".to_owned()))?;
    let (key, input) = telling.key_and_input(event);
    let mut scope = Scope::of_saga(event.saga, input, Vec::new());
    scope.key = key;
    scope.step = telling.step.as_deref().unwrap_or_default().into();
    scope.attempt = event.attempts;
    scope.output = event.result.clone();
    scope.news = Some(NotificationContext {
        definition: pinned.definition.name().to_owned(),
        status: telling.status,
        reason: telling.reason,
    });
    node.participants.tell(notice, &Arc::new(scope)).await.map(|()| telling.event)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[track_caller]
    fn check(law: &str, first_row: Option<&str>, expected: &str) {
        let json = |text: &str| Json::parse(text).unwrap();
        let body =
            format!(r#"{{"event":"on_end",{law}"definition":1,"status":"completed","step":null,"reason":null}}"#);
        let (n, saga, started) = (1, Uuid::nil(), first_row.map(json));
        let event = Relaying { n, saga, seq: 7, body: json(&body), attempts: 1, started, result: None };
        let telling: Telling = event.body.decode().unwrap();
        assert_eq!(telling.key_and_input(&event).0, format!("{saga}{expected}"), "{law} {first_row:?}");
    }

    const FIRST: &str = r#"{"started":{"at":7,"input":null}}"#;
    const SECOND: &str = r#"{"begun":{"law":2,"at":7,"input":null}}"#;

    /// Retention may have dropped the journal when the receiver is back.
    #[test]
    fn an_event_has_one_key_with_its_journal_and_without() {
        for first_row in [Some(SECOND), None] {
            check(r#""law":2,"#, first_row, "-on_end-n7");
        }
        for first_row in [Some(FIRST), None] {
            check(r#""law":1,"#, first_row, "/on_end/7");
        }
    }

    #[test]
    fn an_event_of_before_is_told_by_the_law_of_its_journal() {
        check("", Some(FIRST), "/on_end/7");
        check("", Some(SECOND), "-on_end-n7");
        check("", None, "/on_end/7");
    }
}
