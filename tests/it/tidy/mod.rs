//! The architecture as a test: which room may name which, how long a file may be, and what no file may hold.

mod circles;
mod words;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Rooms and their floors. A room names only rooms below it, and itself.
const FLOORS: &[(&str, u8)] = &[
    ("saga", 0),
    ("participant", 1),
    ("store", 1),
    ("actor", 2),
    ("client", 2),
    ("catalog", 2),
    ("mcp", 3),
    ("http", 3),
    ("cli", 4),
    ("runtime", 4),
    ("demo", 5),
    ("bench", 5),
    ("program", 6),
    ("main", 7),
];

/// Leaves: everybody may name them, and they name nobody but `config`, where their limits are.
const LEAVES: &[&str] = &[
    "barrier",
    "boundary",
    "config",
    "evaluation",
    "files",
    "metrics",
    "error",
    "peer",
    "place",
    "postgres",
    "step_transaction",
    "trace",
];

/// Doors cut on purpose, each with its reason.
const DOORS: &[(&str, &str, &str)] = &[
    ("cli", "runtime", "`serve` and `mcp` compose a node"),
    ("client", "actor", "beside a node, sagas start on its lanes and its actors tell of their ends"),
];

/// What only one room may name: `(pattern, rooms that may, why)`.
const OWNED: &[(&str, &[&str], &str)] = &[
    (
        "tokio_postgres",
        &["store", "demo", "bench", "barrier", "step_transaction"],
        "the store records; the demo's participants, and those that call the barrier, are other programs; the bench \
         compares with plain connections; transactional handlers write what they like",
    ),
    ("deadpool_postgres", &["store", "demo"], "the store records; the demo's participants are other programs"),
    ("include_str!(\"../../sql", &["store", "bench"], "SQL is the store's; the bench measures tables by its statement"),
    ("actix::", &["actor", "runtime"], "actors live in their room"),
    ("rmcp::", &["participant", "mcp", "demo"], "MCP is spoken by participants and doors"),
];

/// What the pure core may not hold.
const IMPURE: &[&str] = &[
    "std::time::Instant",
    "SystemTime",
    "Instant::now",
    "tokio::",
    "actix",
    "async fn",
    ".await",
    "rand::",
    "tracing::",
    "metrics::",
    "std::fs",
    "std::net",
    "std::env",
    "_ =>",
];

/// What no file may hold.
const BANNED: &[(&str, &str)] = &[
    ("todo!(", "finish it"),
    ("unimplemented!(", "finish it"),
    ("dbg!(", "remove before commit"),
    ("#[ignore", "a test that does not run is no test"),
    ("FIXME", "mend it"),
];

const LINES_MAX: usize = 500;
const COLUMNS_MAX: usize = 120;

#[test]
fn rooms_name_only_rooms_below_them() {
    let mut faults = Vec::new();
    for file in sources("src") {
        let room = room_of(&file);
        for (number, line) in code_lines(&file) {
            for named in named_rooms(&line) {
                if !may_name(&room, &named) {
                    faults.push(format!("{}:{number}: {room} names {named}", file.display()));
                }
            }
        }
    }
    assert_none(faults, "rooms that name what is not below them (see DESIGN, layout)");
}

#[test]
fn the_floor_table_can_fail() {
    assert!(!may_name("saga", "store"));
    assert!(!may_name("store", "actor"));
    assert!(!may_name("store", "participant"));
    assert!(!may_name("metrics", "saga"));
    assert!(!may_name("postgres", "metrics"));
    assert!(may_name("postgres", "config"));
    assert!(may_name("actor", "store"));
    assert!(may_name("saga", "saga"));
    assert_eq!(named_rooms("use crate::store::Lane; crate::{saga, actor::x}"), ["store", "saga", "actor"]);
    assert_eq!(named_rooms("use amends::store::Lane"), ["store"]);
}

#[test]
fn what_belongs_to_one_room_stays_there() {
    let mut faults = Vec::new();
    for file in sources("src") {
        let path = file.strip_prefix("src").unwrap_or(&file).to_string_lossy().replace('\\', "/");
        for (number, line) in code_lines(&file) {
            for (pattern, rooms, why) in OWNED {
                let at_home =
                    rooms.iter().any(|room| path.starts_with(&format!("{room}/")) || path == format!("{room}.rs"));
                if line.contains(pattern) && !at_home {
                    faults.push(format!("{path}:{number}: names {pattern} ({why})"));
                }
            }
        }
    }
    assert_none(faults, "names outside their room");
}

#[test]
fn the_core_is_pure_and_matches_in_full() {
    let mut faults = Vec::new();
    for file in sources("src/saga").into_iter().filter(|file| !is_test(file)) {
        for (number, line) in code_lines(&file) {
            for impure in IMPURE.iter().filter(|impure| line.contains(**impure)) {
                faults.push(format!("{}:{number}: holds {impure:?}", file.display()));
            }
        }
    }
    assert_none(faults, "impurities in the core");
}

#[test]
fn files_are_short_and_say_what_they_own() {
    let mut faults = Vec::new();
    let files = ["src", "tests", "benches"].iter().flat_map(|root| sources(root));
    for file in files {
        let text = read(&file);
        let count = text.lines().count();
        if count > LINES_MAX {
            faults.push(format!("{}: {count} lines, at most {LINES_MAX}", file.display()));
        }
        if !text.starts_with("//!") {
            faults.push(format!("{}: the first line does not say what the file owns (`//!`)", file.display()));
        }
        faults.extend(wide_lines(&file, &text));
    }
    for file in files_below(Path::new("sql"), "sql") {
        // What was published stays as it is.
        if !file.starts_with("sql/migrations") {
            faults.extend(wide_lines(&file, &read(&file)));
        }
    }
    assert_none(faults, "untidy files");
}

fn wide_lines(file: &Path, text: &str) -> Vec<String> {
    let is_wide = |line: &str| line.chars().count() > COLUMNS_MAX && !line.contains("https://");
    let wide = text.lines().enumerate().filter(|(_, line)| is_wide(line));
    wide.map(|(number, _)| format!("{}:{}: more than {COLUMNS_MAX} columns", file.display(), number + 1)).collect()
}

#[test]
fn one_width_is_written_down() {
    let width = format!("max_width = {COLUMNS_MAX}\n");
    assert!(read(Path::new("rustfmt.toml")).contains(&width), "rustfmt.toml has another width than {COLUMNS_MAX}");
    let page = read(Path::new("README.md")).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains(&format!("no line more than {COLUMNS_MAX} columns")), "the page has another width");
}

#[test]
fn nothing_is_left_unfinished() {
    let mut faults = Vec::new();
    for file in ["src", "tests", "benches"].iter().flat_map(|root| sources(root)) {
        if file.starts_with("tests/it/tidy") {
            continue;
        }
        for (number, line) in read(&file).lines().enumerate() {
            for (pattern, remedy) in BANNED {
                if line.contains(pattern) {
                    faults.push(format!("{}:{}: {pattern} ({remedy})", file.display(), number + 1));
                }
            }
        }
    }
    assert_none(faults, "unfinished places");
}

#[test]
fn every_statement_has_its_header_and_its_user() {
    let mut faults = Vec::new();
    let users: String = sources("src/store").iter().map(|file| read(file)).collect();
    for file in files_below(Path::new("sql/queries"), "sql") {
        let text = read(&file);
        for mark in ["Called by:", "Locks:", "Index:"] {
            let header: String = text.lines().take_while(|line| line.starts_with("--")).collect();
            if !header.contains(mark) {
                faults.push(format!("{}: its header does not say `{mark}`", file.display()));
            }
        }
        let name = file.strip_prefix("sql/queries").unwrap_or(&file).to_string_lossy().replace('\\', "/");
        let (noun, verb) = name.trim_end_matches(".sql").split_once('/').unwrap_or(("", ""));
        let used = users.contains(&name) || users.contains(&format!("\"{noun}\", \"{verb}\""));
        if !used {
            faults.push(format!("{}: no file of the store includes it", file.display()));
        }
    }
    assert_none(faults, "statements without a header or a user");
}

/// A payload that is read or written elsewhere would stay as it is when payloads are encrypted.
#[test]
fn payloads_cross_the_edge_of_the_store_in_one_file() {
    let mut faults = Vec::new();
    for file in sources("src/store").into_iter().filter(|file| !file.ends_with("payload.rs")) {
        for (number, line) in code_lines(&file) {
            // The chain digests payloads, and reads and writes none.
            let is_chain = file.starts_with("src/store/chain") || file.ends_with("chain.rs");
            for bypass in bypasses(&line).into_iter().filter(|_| !is_chain) {
                faults.push(format!("{}:{number}: {bypass:?} beside payload::Stored", file.display()));
            }
        }
    }
    assert_none(faults, "payloads that do not pass store/payload.rs");
    assert_eq!(bypasses("let x: &str = row.try_get(\"body\")?;"), ["try_get(\"body\")"]);
    assert_eq!(bypasses("ids.push(row.body.get()); Json::parse(text)"), ["body.get()", "Json::parse("]);
}

/// How a line of the store takes a payload from a row, or gives one to a statement, without the one file for it.
fn bypasses(line: &str) -> Vec<String> {
    let columns = ["body", "input", "result", "request", "answer", "started", "attention"];
    let read = columns.map(|column| format!("try_get(\"{column}\")"));
    let written = ["body", "input", "result", "request", "attention", "outbox"].map(|field| format!("{field}.get()"));
    let all = read.into_iter().chain(written).chain(["Json::parse(".to_owned(), "Json::get".to_owned()]);
    all.filter(|one| line.contains(one.as_str())).collect()
}

#[test]
fn every_metric_is_counted_somewhere() {
    let users: String =
        sources("src").iter().filter(|file| !file.ends_with("metrics.rs")).map(|file| read(file)).collect();
    let text = read(Path::new("src/metrics.rs"));
    let declared = text.lines().filter_map(|line| {
        let mut words = line.strip_prefix("    ")?.split(' ');
        let kind = words.next()?;
        ["Counter", "Gauge", "Seconds", "Count"].contains(&kind).then(|| words.next()).flatten()
    });
    let declared: Vec<&str> =
        declared.filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_')).collect();
    assert_eq!(declared.len(), amends::metrics::ALL.len(), "the table of metrics is read wrongly: {declared:?}");
    let unused = declared.into_iter().filter(|name| !users.contains(&format!("metrics::{name}.")));
    assert_none(unused.map(str::to_owned).collect(), "metrics that nobody counts");
}

fn may_name(room: &str, named: &str) -> bool {
    let floor = |name: &str| FLOORS.iter().find(|(room, _)| *room == name).map(|(_, floor)| *floor);
    if room == named || room == "lib" {
        return true;
    }
    if LEAVES.contains(&room) || LEAVES.contains(&named) {
        return !LEAVES.contains(&room) || named == "config";
    }
    let door = DOORS.iter().any(|(from, to, _)| *from == room && *to == named);
    match (floor(room), floor(named)) {
        (Some(above), Some(below)) => above > below || door,
        (None, _) | (_, None) => false,
    }
}

/// Rooms named in a line as `crate::ROOM` or `amends::ROOM`, also within braces.
fn named_rooms(line: &str) -> Vec<String> {
    let known: BTreeSet<&str> = FLOORS.iter().map(|(room, _)| *room).chain(LEAVES.iter().copied()).collect();
    let mut found = Vec::new();
    for root in ["crate::", "amends::"] {
        for (at, _) in line.match_indices(root) {
            let rest = &line[at + root.len()..];
            let group = rest.strip_prefix('{').map_or(rest, |inner| inner.split('}').next().unwrap_or(inner));
            let parts: Vec<&str> = if rest.starts_with('{') { group.split(',').collect() } else { vec![rest] };
            for part in parts {
                let name: String = part.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                if known.contains(name.as_str()) {
                    found.push(name);
                }
            }
        }
    }
    found
}

fn room_of(file: &Path) -> String {
    let inside = file.strip_prefix("src").unwrap_or(file);
    let first = inside.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
    first.unwrap_or_default().trim_end_matches(".rs").to_owned()
}

fn is_test(file: &Path) -> bool {
    let path = file.to_string_lossy();
    path.contains("/tests/") || path.ends_with("tests.rs")
}

/// Lines that are code, with their numbers: neither comments nor documentation.
fn code_lines(file: &Path) -> Vec<(usize, String)> {
    read(file)
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line.to_owned()))
        .collect()
}

fn sources(root: &str) -> Vec<PathBuf> {
    files_below(Path::new(root), "rs")
}

pub(crate) fn files_below(root: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(root) else { return found };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub(crate) fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn assert_none(faults: Vec<String>, what: &str) {
    assert!(faults.is_empty(), "{} {what}:\n  {}", faults.len(), faults.join("\n  "));
}
