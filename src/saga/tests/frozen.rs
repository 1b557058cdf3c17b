//! Recorded journals of law 2, with the result of the fold after each row. The fold must give the same results for
//! ever: a saga that waits for a year goes on by the law under which it began.
//!
//! The first line of a file is the definition. Rows follow. After each row comes its result: the state, the next
//! timer, and the commands, with the key of each call.

use uuid::Uuid;

use super::story::state_text;
use crate::saga::command::Command;
use crate::saga::definition::Draft;
use crate::saga::event::{Direction, Event};
use crate::saga::key::Key;
use crate::saga::state::{Origin, State};
use crate::saga::{Definition, Law, begin, next_timer, transition};

macro_rules! journals {
    ($($name:literal),+) => { &[$(($name, include_str!(concat!("frozen/", $name, ".txt")))),+] };
}

const JOURNALS: &[(&str, &str)] = journals![
    "completes",
    "turns_back",
    "doubt_and_probe",
    "errors",
    "keys_are_renewed",
    "keys_are_forgotten",
    "accepted",
    "transactional",
    "open",
    "deadlines",
    "owners",
    "rerun"
];

/// Returns the journal with the results of the present fold.
fn retold(text: &str) -> String {
    let mut lines = text.lines();
    let draft = lines.next().expect("a definition");
    let definition: Draft = serde_json::from_str(draft).expect("a definition that is still readable");
    let definition = Definition::build(definition).expect("a definition that is still valid");
    let mut told = vec![draft.to_owned()];
    let mut state: Option<State> = None;
    for row in lines.filter(|line| line.starts_with('{')) {
        let event: Event = serde_json::from_str(row).unwrap_or_else(|error| panic!("{row}: {error}"));
        let followed = match (&state, &event) {
            (None, Event::Started(started)) => Ok(begin(&definition, started)),
            (None, event) => panic!("expected `begun` as the first row, found {event:?}"),
            (Some(state), event) => transition(&definition, state, event),
        };
        told.push(row.to_owned());
        match followed {
            Ok((next, commands)) => {
                told.push(format!("    {}", what_follows(&definition, &next, &commands)));
                state = Some(next);
            }
            Err(illegal) => told.push(format!("    refused: {illegal}")),
        }
    }
    told.join("\n") + "\n"
}

fn what_follows(definition: &Definition, state: &State, commands: &[Command]) -> String {
    let saga = Uuid::nil();
    let name = |step: usize| definition.step(state, step).name.as_str();
    let key_of = |saga, law, step, direction, generation| {
        let text = Key { saga, step: name(step), direction, generation }.text(law);
        text.replace("00000000-0000-0000-0000-000000000000", "SAGA")
    };
    let key = |step, direction, generation| key_of(saga, state.law, step, direction, generation);
    let mut words = vec![state_text(definition, state)];
    words.extend(next_timer(definition, state).map(|due| format!("timer@{due}")));
    words.extend(commands.iter().map(|command| match *command {
        Command::Decide { step } => format!("decide {}", name(step)),
        Command::Show { step } => format!("show {}", name(step)),
        Command::Execute { step, direction: Direction::Action, attempt, generation } => {
            format!("call {}#{attempt} {}", name(step), key(step, Direction::Action, generation))
        }
        Command::Execute { step, direction: Direction::Compensation, attempt, generation } => {
            let undone = &state.steps[step];
            let Origin { saga, law } = undone.origin.unwrap_or(Origin { saga, law: state.law });
            let generation_undone = undone.action.generation;
            let undone = key_of(saga, law, step, Direction::Action, generation_undone);
            format!("undo {undone}#{attempt} {}", key(step, Direction::Compensation, generation))
        }
        Command::Probe { step, direction, probe, generation } => {
            format!("probe {}#{probe} {}", name(step), key(step, direction, generation))
        }
    }));
    words.join(" | ")
}

#[test]
fn a_journal_is_folded_as_it_was_when_it_was_written() {
    assert_eq!(Law::NEWEST.number(), 2, "record journals of the new law too, and keep these");
    let mut changed = Vec::new();
    for (name, text) in JOURNALS {
        let found = retold(text);
        let row = text.lines().zip(found.lines()).find(|(expected, found)| expected != found);
        if *text != found {
            let (expected, found) = row.unwrap_or(("", "another number of lines"));
            changed.push(format!("{name}.txt\n    expected {expected}\n    found    {found}"));
        }
    }
    assert!(
        changed.is_empty(),
        "the fold of law 2 has changed; raise the law's number (law.rs), and keep law 2 as it is:\n  {}",
        changed.join("\n  ")
    );
}
