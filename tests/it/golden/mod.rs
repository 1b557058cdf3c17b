//! Golden files: what others have written down and must find again. Rows of journals, definitions, and the words of
//! settings, of the command line, of metrics and of SQL.
//!
//! `AMENDS_GOLDEN=write cargo test --test it golden::` writes the files again; read the difference before it is
//! committed.

mod answers;
mod words;

use std::collections::BTreeSet;
use std::path::PathBuf;

use amends::catalog::{parse_definitions, to_yaml};
use amends::saga::Definition;
use amends::saga::event::{Event, Request};

/// Compares a text with its golden file, line by line.
fn check(file: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden").join(file);
    if std::env::var_os("AMENDS_GOLDEN").is_some_and(|mode| mode == "write") {
        return std::fs::write(path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let (expected, found): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let place = expected.iter().zip(&found).position(|(one, other)| one != other);
    let place = place.or((expected.len() != found.len()).then_some(expected.len().min(found.len())));
    if let Some(place) = place {
        let line = |lines: &[&str]| lines.get(place).map_or("the end of the file".to_owned(), ToString::to_string);
        panic!("{file}:{}:\n  expected {}\n  found    {}", place + 1, line(&expected), line(&found));
    }
}

/// Each shape of a row is read, and written as it was.
#[test]
fn rows_of_journals_are_read_and_written_as_ever() {
    let (mut kinds, mut verbs) = (BTreeSet::new(), BTreeSet::new());
    for line in include_str!("journal.jsonl").lines() {
        let event: Event = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(serde_json::to_string(&event).unwrap(), line);
        assert!(line.starts_with(&format!("{{\"{}\":", event.kind())), "{line}");
        kinds.insert(event.kind());
        if let Event::Requested(requested) = &event {
            verbs.insert(requested.request.verb());
        }
    }
    let all = [
        "approval_shown",
        "attempt_ended",
        "begun",
        "condition_decided",
        "owner_lost",
        "probe_answered",
        "request_refused",
        "requested",
        "started",
        "timer_fired",
        "withdrawn",
    ];
    assert!(kinds.iter().eq(&all), "{kinds:?}");
    assert!(verbs.iter().eq(Request::VERBS.iter().collect::<BTreeSet<_>>()), "{verbs:?}");
}

/// Definitions with every field become the same drafts under the same digests, and the same YAML.
#[test]
fn definitions_are_read_as_ever() {
    let drafts = parse_definitions("definitions.yaml", include_str!("definitions.yaml")).unwrap();
    let mut found = String::new();
    for draft in drafts {
        let definition = Definition::build(draft.clone()).unwrap_or_else(|faults| panic!("{faults:?}"));
        let text = serde_json::to_string_pretty(&draft).unwrap();
        found.push_str(&format!("# {}\n{text}\n{}\n", definition.digest(), to_yaml(&draft)));
    }
    check("definitions.txt", &found);
}
