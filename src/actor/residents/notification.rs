//! Notices about a saga: the event that goes into the outbox with a transition, and its later delivery to a receiver.
//! Owns the event's shape; the relay decides when to deliver.

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

/// Which notice of a definition an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Occasion {
    OnStuck,
    OnEnd,
}

impl Occasion {
    /// Returns the word in keys and metrics: the definition's field name.
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

/// Event as stored in the outbox. It is small: the saga's input and result are read when it is delivered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Telling {
    pub(crate) event: Occasion,
    /// Law of the saga, which determines the key of the notice. It is stored here because the journal may be gone at
    /// delivery. None in events from older versions: for these, the law of the journal holds.
    law: Option<Law>,
    definition: i32,
    status: String,
    step: Option<String>,
    reason: Option<String>,
}

impl Telling {
    /// Returns the key of the notice, which is the same at each delivery, and the saga's input; the input is null if
    /// the journal is gone.
    fn key_and_input(&self, event: &Relaying) -> (String, Json) {
        let (begun, input) = match event.started.as_ref().map(Json::decode::<Event>) {
            Some(Ok(Event::Started(Started { law, input, .. }))) => (law, input),
            Some(_) | None => (Law::V1, Json::null()),
        };
        let law = self.law.unwrap_or(begun);
        (notice_key(event.saga, self.event.as_str(), event.seq, law), input)
    }
}

/// Returns the event that a transition puts into the outbox, if the definition has a notice for it.
pub(crate) fn for_row(pinned: &Pinned, old: Option<&State>, new: &State, row: &Transition) -> Option<Json> {
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
    // Postgres parses the event, and its text cannot hold a NUL.
    let reason = reason.map(|reason| reason.replace('\0', "\u{fffd}"));
    let (law, definition, status) = (Some(new.law), pinned.id.0, status.as_str().to_owned());
    Json::encode(&Telling { event, law, definition, status, step, reason }).ok()
}

/// Returns the step that needs a person, and why.
fn stuck(definition: &Definition, state: &State) -> (Option<String>, Option<String>) {
    let Some((index, direction, reason)) = state.stuck() else { return (None, None) };
    let error = state.steps[index].tally(direction).error.as_ref();
    let why = error.map_or_else(String::new, |error| format!(": {error}"));
    let reason = format!("the {} is stuck ({}){why}", direction.as_str(), reason.as_str());
    (Some(definition.step(state, index).name.clone()), Some(reason))
}

/// Returns the step that kept the saga from completing, if there is one, and the reason.
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

/// Delivers an event to the target in the saga's definition, under a key that is the same each time.
pub(crate) async fn tell(node: &Node, event: &Relaying) -> Result<Occasion, NotReceived> {
    let wrong = |message: String| Error::new("outbox", message);
    let telling: Telling = event.body.decode().map_err(|error| wrong(error.to_string()))?;
    let pinned = node.definitions.get(DefinitionId(telling.definition));
    let pinned = pinned.ok_or_else(|| wrong(format!("definition {} is not known here", telling.definition)))?;
    let notice = telling.event.notice(pinned.definition.draft());
    let notice = notice.ok_or_else(|| wrong("the definition has no notice for this event".to_owned()))?;
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

    /// Retention may drop the journal before the receiver is back.
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
