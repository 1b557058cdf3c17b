//! The list of places against the sources. Owns that each place of the list is passed, that each statement is sent
//! where its places are passed, and that no actor goes without its start and its stop.

use std::path::{Path, PathBuf};

use super::cases::statements;
use crate::tidy::{files_below, read};

fn sources(root: &str) -> Vec<(PathBuf, String)> {
    let files = files_below(Path::new(root), "rs").into_iter().filter(|path| !path.ends_with("boundary.rs"));
    files.map(|path| (path.clone(), read(&path))).collect()
}

/// Every place of the lists is passed somewhere, and what is passed is in the lists.
#[test]
fn every_boundary_is_in_the_sources() {
    let text: String = sources("src").into_iter().map(|(_, text)| text).collect();
    for place in amends::boundary::ALL.iter().chain(amends::boundary::OF_SAGAS) {
        assert!(text.contains(&format!("\"{place}\"")), "{place:?} is passed nowhere");
    }
    // A chore names its own: see `every_actor_starts_and_stops`.
    let passes = text.split("boundary::pass(").skip(1).filter(|passed| !passed.starts_with("C::PLACES"));
    for passed in passes {
        let place = passed.trim_start().trim_start_matches('"').split('"').next().unwrap();
        assert!(amends::boundary::ALL.contains(&place), "{place:?} is not in the list of boundaries");
    }
}

/// No statement is sent but by its name, with its places before and after.
#[test]
fn every_statement_passes_its_places() {
    let sources = sources("src/store");
    for (path, text) in &sources {
        let bare = text.contains("include_str!(\"../../sql/queries");
        assert!(!bare, "{}: a statement is included without its places: sql!(NOUN, VERB)", path.display());
        let sends = text.matches(".text, ").count() + text.matches("(sql.text)").count();
        let (sending, answered) = (text.matches(".sending()").count(), text.matches(".answered()").count());
        assert_eq!(sending, answered, "{}: a statement has only one of its places", path.display());
        let is_macro = path.ends_with("statement.rs");
        assert!(is_macro || sends == 0 || sending > 0, "{}: a statement is sent without its places", path.display());
    }
    let text: String = sources.into_iter().map(|(_, text)| text.split_whitespace().collect::<String>()).collect();
    for name in statements() {
        let (noun, verb) = name.split_once('/').unwrap();
        let is_named = text.contains(&format!("sql!(\"{noun}\",\"{verb}\")"));
        assert!(is_named, "{name} is sent by nobody");
    }
}

/// An actor may die as it starts and as it stops.
#[test]
fn every_actor_starts_and_stops() {
    let mut actors = 0;
    for (path, text) in sources("src/actor") {
        for kind in ["impl Actor for ", "impl Chore for "] {
            for name in text.split(kind).skip(1) {
                let name = snake_case(name.split([' ', '{']).next().unwrap());
                actors += 1;
                for side in ["started", "stopped"] {
                    // A saga's actor starts where it arrives, and goes with its guard.
                    let place = match (&*name, side) {
                        ("saga_actor", "started") => "saga: arrived".to_owned(),
                        ("saga_actor", _) => "saga: stopped".to_owned(),
                        _ => format!("{name}: {side}"),
                    };
                    let known = amends::boundary::ALL.contains(&&*place);
                    assert!(known, "{}: {place:?} is not in the list of boundaries", path.display());
                    let file = path.display();
                    let passed = place.starts_with("saga:") || text.contains(&format!("\"{place}\""));
                    assert!(passed, "{file}: {place:?} is not passed there");
                }
            }
        }
    }
    assert!(actors >= 18, "only {actors} actors were found");
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}
