//! An erased journal is still a journal: each shape of a row is read as before, and folds to the same states, without
//! anything of what it carried.

use amends::saga::definition::Draft;
use amends::saga::event::{Event, Request};
use amends::saga::state::State;
use amends::saga::{Definition, begin, transition};

use crate::harness::Database;

const STORIES: [(&str, &str); 12] = [
    ("accepted", include_str!("../../../src/saga/tests/frozen/accepted.txt")),
    ("completes", include_str!("../../../src/saga/tests/frozen/completes.txt")),
    ("deadlines", include_str!("../../../src/saga/tests/frozen/deadlines.txt")),
    ("doubt_and_probe", include_str!("../../../src/saga/tests/frozen/doubt_and_probe.txt")),
    ("errors", include_str!("../../../src/saga/tests/frozen/errors.txt")),
    ("keys_are_forgotten", include_str!("../../../src/saga/tests/frozen/keys_are_forgotten.txt")),
    ("keys_are_renewed", include_str!("../../../src/saga/tests/frozen/keys_are_renewed.txt")),
    ("open", include_str!("../../../src/saga/tests/frozen/open.txt")),
    ("owners", include_str!("../../../src/saga/tests/frozen/owners.txt")),
    ("rerun", include_str!("../../../src/saga/tests/frozen/rerun.txt")),
    ("transactional", include_str!("../../../src/saga/tests/frozen/transactional.txt")),
    ("turns_back", include_str!("../../../src/saga/tests/frozen/turns_back.txt")),
];

async fn erased(client: &tokio_postgres::Client, line: &str) -> String {
    client.query_one("select amends.erased_body($1::text)", &[&line]).await.unwrap().get(0)
}

/// Where a saga stands after each row: its status, and the phase and the numbers of each step.
fn told(definition: &Definition, rows: &[String]) -> Vec<String> {
    let mut state: Option<State> = None;
    let mut told = Vec::new();
    for row in rows {
        let event: Event = serde_json::from_str(row).unwrap_or_else(|error| panic!("{row}: {error}"));
        let followed = match (&state, &event) {
            (None, Event::Started(started)) => Ok(begin(definition, started)),
            (None, event) => panic!("expected a first row, found {event:?}"),
            (Some(state), event) => transition(definition, state, event),
        };
        match followed {
            Ok((next, commands)) => {
                let phases: Vec<_> =
                    (0..next.steps.len()).map(|step| format!("{:?}", next.steps[step].phase)).collect();
                told.push(format!("{} {phases:?} {commands:?}", next.status()));
                state = Some(next);
            }
            Err(_) => told.push("refused".to_owned()),
        }
    }
    told
}

#[tokio::test]
async fn an_erased_journal_folds_to_the_same_states() {
    let database = Database::create().await;
    let client = database.client().await;
    for (name, text) in STORIES {
        let mut lines = text.lines();
        let draft: Draft = serde_json::from_str(lines.next().unwrap()).unwrap();
        let definition = Definition::build(draft).unwrap();
        let rows: Vec<String> = lines.filter(|line| line.starts_with('{')).map(str::to_owned).collect();
        let mut redacted = Vec::new();
        for row in &rows {
            redacted.push(erased(&client, row).await);
        }
        assert!(rows.len() > 3, "{name}");
        assert_eq!(told(&definition, &rows), told(&definition, &redacted), "{name}");
    }
}

#[tokio::test]
async fn each_shape_of_a_row_is_read_without_its_payload() {
    let database = Database::create().await;
    let client = database.client().await;
    let lines = include_str!("../golden/journal.jsonl");
    let carried =
        ["ch_1", "\"n\"", "mended", "no answer", "250", "Charge", "0000000000000000000000000000000000000000", "seen"];
    for word in &carried[..6] {
        assert!(lines.contains(word), "{word}");
    }
    for line in lines.lines() {
        let before: Event = serde_json::from_str(line).unwrap();
        let text = erased(&client, line).await;
        let after: Event = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(before.kind(), after.kind());
        if let (Event::Requested(before), Event::Requested(after)) = (&before, &after) {
            assert_eq!(
                (before.request.verb(), &before.by, before.signal),
                (after.request.verb(), &after.by, after.signal)
            );
        }
        for word in carried {
            assert!(!text.contains(word), "{word} in {text}");
        }
        assert_eq!(serde_json::from_str::<Event>(&erased(&client, &text).await).unwrap(), after, "erased twice");
    }
}

/// A driver's steps carry values of its own in each of their fields.
#[tokio::test]
async fn an_appended_step_keeps_its_shape_and_none_of_its_values() {
    let database = Database::create().await;
    let client = database.client().await;
    let call = |target: &str| {
        format!(
        "{{\"target\":{target},\"effect\":\"idempotent\",\"success\":\"result.a == 'SECRET'\",\"errors\":\"unknown\",
          \"refused\":{{\"when\":\"error.code == 'SECRET'\"}},\"output\":\"SECRET ${{ result }}\",
          \"classify\":[{{\"when\":\"error.code == 'SECRET'\",\"outcome\":\"failed\"}}],
          \"probe\":{{\"target\":{target},\"applied\":\"result.a == 'SECRET'\",\"absent\":\"false\",
          \"output\":\"SECRET\"}}}}"
    )
    };
    let targets = [
        "{\"handler\":{\"name\":\"h\",\"arguments\":{\"mail\":\"SECRET\"}}}",
        "{\"tool\":{\"participant\":\"p\",\"tool\":\"t\",\"arguments\":{\"SECRET\":1}}}",
        "{\"http\":{\"participant\":\"p\",\"method\":\"POST\",\"path\":\"/users/SECRET\",\"query\":{\"q\":\"SECRET\"},
          \"headers\":{\"x\":\"SECRET\"},\"body\":[\"SECRET\"]}}",
    ];
    let actions = targets.iter().map(|target| format!("{{\"call\":{}}}", call(target))).chain([
        "{\"approval\":{\"message\":\"Pay SECRET?\",\"arguments\":{\"to\":\"SECRET\"}}}".to_owned(),
        "{\"await\":{\"event\":\"go\",\"deadline_ms\":5}}".to_owned(),
        "{\"sleep\":{\"for_ms\":5}}".to_owned(),
    ]);
    for action in actions {
        let line = format!(
            "{{\"requested\":{{\"at\":7,\"signal\":1,\"by\":\"driver\",\"request\":{{\"append\":{{\"step\":
              {{\"name\":\"s\",\"needs\":[\"a\"],\"kind\":\"retriable\",\"when\":\"input.a == 'SECRET'\",
                \"compensation\":{},\"action\":{action}}}}}}}}}}}",
            call(targets[0])
        );
        let before: Event = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let text = erased(&client, &line).await;
        assert!(!text.contains("SECRET"), "{text}");
        let after: Event = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let [Some(before), Some(after)] = [before, after].map(|event| match event {
            Event::Requested(requested) => match requested.request {
                Request::Append { step } => Some(step),
                _ => None,
            },
            _ => None,
        }) else {
            panic!("expected two steps, found {text}")
        };
        assert_eq!((&before.name, before.kind, &before.needs), (&after.name, after.kind, &after.needs));
        assert!(after.when.is_some() && after.compensation.is_some(), "{text}");
    }
}

/// What no version of amends reads goes as a whole.
#[tokio::test]
async fn a_row_that_cannot_be_read_loses_all() {
    let database = Database::create().await;
    let client = database.client().await;
    for line in ["", "SECRET", "[\"SECRET\"]", "{\"begun\":", "\"SECRET\"", "7", "{\"SECRET\":{\"a\":{\"SECRET\":1}}}"]
    {
        let text = erased(&client, line).await;
        assert_eq!(text, "{}", "{line}");
    }
    let odd = "{\"begun\":{\"law\":2,\"at\":7,
               \"input\":{\"a\":\"\\u0000\",\"b\":1e999999,\"c\":\"\\ud800 SECRET\"},\"new\":\"SECRET\"}}";
    let text = erased(&client, odd).await;
    assert!(!text.contains("SECRET") && text.contains("\"input\" : null"), "{text}");
}
