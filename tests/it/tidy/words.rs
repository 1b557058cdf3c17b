//! Words that make a reader read twice: their count may only fall. And names that were given up, which may not come
//! back.

use std::path::Path;

use super::{assert_none, files_below, read};

/// Words that stand where a named subject should. A whole word, or a whole phrase, whatever its case.
const VAGUE: &[&str] =
    &["nobody", "somebody", "whoever", "whom", "anyone", "anew", "of which", "those who", "that which"];

/// How often they stand in src, sql and all Markdown pages. Lower it when it falls; never raise it.
const VAGUE_MAX: usize = 29;

/// Names of files and types that said nothing to a reader who knows the field, with what stands in their place.
const GIVEN_UP: &[(&str, &str)] = &[
    ("bell", "wakeups"),
    ("usher", "turn_granter"),
    ("herald", "completion_poller"),
    ("registrar", "definition_poller"),
    ("roster", "lane_router"),
    ("takeup", "recovery"),
    ("strays", "orphans"),
    ("passage", "throughput"),
    ("presence", "exit_guard"),
    ("crowding", "bloat"),
    ("duty", "claiming"),
    ("isolation", "quarantine"),
    ("trouble", "write_failures"),
    ("bidding", "messages"),
    ("suspect", "quarantine"),
    ("within", "step_transaction"),
    ("helper", "a noun that says what it does"),
    ("util", "a noun that says what it does"),
    ("common", "a noun that says what it shares"),
    ("manager", "a noun that says what it does"),
];

#[test]
fn vague_words_become_fewer() {
    let mut counts = Vec::new();
    for (root, extension) in [("src", "rs"), ("sql", "sql"), (".", "md")] {
        for file in files_below(Path::new(root), extension) {
            if file.starts_with("./target") || file.starts_with("./.git") {
                continue;
            }
            let found = vague(&read(&file));
            if found > 0 {
                counts.push((found, file.display().to_string()));
            }
        }
    }
    counts.sort();
    let all: usize = counts.iter().map(|(found, _)| found).sum();
    let most: Vec<String> = counts.iter().rev().take(9).map(|(found, file)| format!("{found} {file}")).collect();
    assert!(all <= VAGUE_MAX, "{all} vague words, at most {VAGUE_MAX}; most in:\n  {}", most.join("\n  "));
    assert!(all + 5 > VAGUE_MAX, "only {all} vague words are left: lower VAGUE_MAX to that");
}

#[test]
fn vague_words_are_counted_whole() {
    assert_eq!(vague("Nobody, which somebody's\n/// of which:whom anew"), 5);
    assert_eq!(vague("renewed whomever of_which kind of whichever"), 0);
}

#[test]
fn names_that_were_given_up_do_not_come_back() {
    let mut faults = Vec::new();
    for file in files_below(Path::new("src"), "rs").into_iter().chain(files_below(Path::new("tests/it"), "rs")) {
        let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some((_, better)) = GIVEN_UP.iter().find(|(given_up, _)| *given_up == stem) {
            faults.push(format!("{}: {better}", file.display()));
        }
    }
    assert_none(faults, "files with a name that was given up");
}

fn vague(text: &str) -> usize {
    let text = text.to_lowercase();
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let whole = |word: &str| {
        text.match_indices(word)
            .filter(|(at, _)| {
                !is_word(text[..*at].chars().next_back()) && !is_word(text[at + word.len()..].chars().next())
            })
            .count()
    };
    VAGUE.iter().map(|word| whole(word)).sum()
}
