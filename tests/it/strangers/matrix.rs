//! Each kind of error against each kind of step, over HTTP and over MCP: what the rules say of it, which rule decided,
//! and the ledger of a scripted stranger against the end. A part is run each time; `AMENDS_STRANGERS_WHOLE=1` runs all
//! of it. The kinds of steps are in `kinds.rs`, Rust handlers in `handlers.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use amends::participant::DefaultRule;

use super::kinds::Class::{
    self, Conflict, Errored, Good, Internal, Pending, Refusal, Retryable, Session, Unknown, Vain,
};
use super::kinds::{DOORS, Door, KINDS, Kind, More, Place, TRUTHS, Truth};
use super::stage::{Case, End, Stage, case};
use super::{WHOLE, handlers, python};

/// Share of the cells that are run without [`WHOLE`]: one in so many, others each day.
const STRIDE: usize = 3;

/// An answer, what the rules make of it, and the word of the rule that decides.
type Answer = (&'static str, Class, &'static str);

const HTTP: [Answer; 32] = [
    ("201", Good, "http_2xx"),
    ("500", Unknown, "http_5xx"),
    ("502", Unknown, "http_5xx"),
    ("503", Unknown, "http_5xx"),
    ("503 later", Unknown, "http_5xx"),
    ("529", Retryable, "busy_by_settings"),
    ("429 later", Retryable, "busy"),
    ("425", Retryable, "busy"),
    ("301", Unknown, "http_3xx"),
    ("307", Refusal, "http_redirect"),
    ("400", Refusal, "http_4xx"),
    ("401", Refusal, "http_4xx"),
    ("402", Refusal, "http_4xx"),
    ("403", Refusal, "http_4xx"),
    ("403 later", Retryable, "busy"),
    ("404", Refusal, "http_4xx"),
    ("408", Unknown, "http_408"),
    ("410", Refusal, "http_4xx"),
    ("413", Refusal, "http_4xx"),
    ("413 later", Retryable, "busy"),
    ("422", Refusal, "http_4xx"),
    ("409", Conflict, "key_conflict"),
    ("409 later", Conflict, "key_conflict"),
    ("409 cut", Unknown, "answer_incomplete"),
    ("402 cut", Unknown, "answer_incomplete"),
    ("lost", Unknown, "closed"),
    ("silent", Unknown, "timeout"),
    ("truncated", Unknown, "answer_incomplete"),
    ("gzip cut", Unknown, "answer_incomplete"),
    ("html", Unknown, "answer_invalid"),
    ("large", Unknown, "answer_too_large"),
    ("202", Pending, "classify[0]"),
];

const MCP: [Answer; 21] = [
    ("error", Errored, "tool_error"),
    ("error text", Errored, "tool_error"),
    ("-32602", Errored, "protocol_error"),
    ("-32603", Internal, "protocol_internal"),
    ("-32000", Errored, "protocol_error"),
    ("-32601", Refusal, "protocol_refusal"),
    ("-32700", Refusal, "protocol_refusal"),
    ("unnamed", Unknown, "protocol_unnamed"),
    ("input", Refusal, "input_required"),
    ("lost", Unknown, "closed"),
    ("silent", Unknown, "timeout"),
    ("500", Unknown, "http_5xx"),
    ("503 later", Unknown, "http_5xx"),
    ("429 later", Retryable, "busy"),
    ("401", Refusal, "http_4xx"),
    ("402 cut", Unknown, "answer_incomplete"),
    ("truncated", Unknown, "answer_incomplete"),
    ("html", Unknown, "answer_invalid"),
    ("large", Unknown, "answer_too_large"),
    ("block", Good, "tool_result"),
    ("queued", Pending, "classify[0]"),
];

/// The answers that one meets through a door.
fn answers(door: Door) -> &'static [Answer] {
    match door {
        Door::Http => &HTTP,
        Door::Mcp => &MCP,
        Door::Session => &[("404", Session, "session_lost")],
        Door::Gone => &[("nobody", Vain, "refused")],
        Door::Nowhere => &[("nobody", Vain, "unresolved")],
    }
}

/// Rules that no cell can meet, each with the test that has it.
const ELSEWHERE: [(&str, &str); 7] = [
    ("out_of_files", "participant::out_of_files::no_transport_takes_a_shortage_of_files_for_an_answer"),
    ("expression", "participant::answers::every_default_rule_of_http_holds_at_the_wire"),
    ("arguments", "participant::answers::every_default_rule_of_http_holds_at_the_wire"),
    ("missing", "participant::answers::every_default_rule_of_http_holds_at_the_wire"),
    // Where a process can die is the crash matrix's.
    ("process_died", "crash::a_process_may_die_anywhere"),
    ("call_lost", "show::a_call_that_the_node_gives_up_has_a_rule"),
    ("no_transaction", "show::a_transaction_that_cannot_be_begun_has_a_rule"),
];

/// One cell of the matrix.
struct Cell {
    kind: Kind,
    door: Door,
    answer: &'static str,
    rule: &'static str,
    case: Case,
}

/// The rule that decides for this kind of step.
fn rule_for(kind: Kind, class: Class, rule: &'static str) -> &'static str {
    let reads = kind.place == Place::Read;
    match class {
        Conflict if reads => "http_4xx",
        Session if !kind.keyed && !reads => "session_refused",
        Good | Refusal | Retryable | Vain | Unknown | Errored | Internal | Session | Conflict | Pending => rule,
    }
}

/// Every cell, a lie that the rules believe aside.
fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for door in DOORS {
        for (answer, class, rule) in answers(door) {
            for kind in KINDS.into_iter().filter(|kind| kind.may_be_called_over(door)) {
                for (truth, when) in TRUTHS {
                    // What is said to be done is done, and what never arrived has no effect.
                    let may_be = match (class, kind.place) {
                        (Good, place) => truth == Truth::After || place == Place::Read,
                        _ => door.leads() || truth == Truth::Before,
                    };
                    let Some(end) = kind.end(*class, truth).filter(|_| may_be) else { continue };
                    let rule = rule_for(kind, *class, rule);
                    let case = case(&kind.saga(door), &format!("{when} {answer}"), end);
                    let case = case.may_stay(kind.more == More::Irreversible).decided_by(rule);
                    let case = if kind.place == Place::Read { case.reads() } else { case };
                    let told = *class == Pending && !kind.probed;
                    let case = if told { case.told(kind.awaited()) } else { case };
                    cells.push(Cell { kind, door, answer, rule, case });
                }
            }
        }
    }
    cells
}

/// Takes all with [`WHOLE`], else every third, others each day.
pub(super) fn part<T>(all: Vec<T>) -> Vec<T> {
    let days = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() / 86_400;
    match std::env::var_os(WHOLE) {
        Some(_) => all,
        None => part_of_day(all, usize::try_from(days).unwrap()),
    }
}

/// Shifted by one from row to row: the cells come in rows of three, and each part has effects before, after and long
/// after the answer.
fn part_of_day<T>(all: Vec<T>, day: usize) -> Vec<T> {
    let is_in = |index: usize| (index + index / STRIDE) % STRIDE == day % STRIDE;
    all.into_iter().enumerate().filter_map(|(index, one)| is_in(index).then_some(one)).collect()
}

/// Whatever the day: each kind of step, and each answer.
#[test]
fn each_part_has_each_kind_and_each_answer() {
    for day in 0..STRIDE {
        let part = part_of_day(cells(), day);
        for kind in KINDS {
            assert!(part.iter().any(|cell| cell.kind == kind), "{day}: {kind:?} is in no cell of the part");
        }
        for door in DOORS {
            for (answer, ..) in answers(door) {
                let is_in = |cell: &Cell| cell.door == door && cell.answer == *answer;
                assert!(part.iter().any(is_in), "{day}: {answer} ({door:?}) is in no cell of the part");
            }
        }
        let handled = part_of_day(handlers::cells(), day);
        for way in handlers::ways() {
            let errs = |case: &Case| case.input["way"].as_str().is_some_and(|said| said.ends_with(way));
            assert!(handled.iter().any(errs), "{day}: {way} is in no cell of the part");
        }
    }
}

fn definitions() -> String {
    let mut definitions = Vec::new();
    for door in DOORS {
        let kinds = KINDS.iter().filter(|kind| kind.may_be_called_over(door));
        definitions.extend(kinds.map(|kind| kind.definition(door)));
    }
    definitions.join("---\n")
}

/// A stage with the scripted stranger; `more` is said of its HTTP in the settings.
async fn stage(name: &str, more: &str) -> Stage {
    let mut stage = Stage::new(name, &definitions()).await;
    let ledger = stage.ledger();
    let url = stage.stranger(python("scripted.py").arg(ledger));
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let limits = "answer_max: 64KiB, concurrency: 2000";
    stage.settings(&format!(
        "  bank: {{ url: \"{url}\", protocol: http, {limits}{more} }}\n  \
         bank_mcp: {{ url: \"{url}/mcp\", {limits} }}\n  \
         bank_session: {{ url: \"{url}/session\", {limits} }}\n  \
         gone: {{ url: \"http://{gone}\", protocol: http }}\n  \
         nowhere: {{ url: \"http://no.such.host.invalid\", protocol: http }}\n"
    ));
    stage
}

#[tokio::test]
async fn each_error_against_each_step_ends_as_the_rules_say() {
    let mut stage = stage("matrix", ", busy: [529]").await;
    stage.play().await;
    stage.check(part(cells()).into_iter().map(|cell| cell.case).collect()).await;
}

/// With `errors: unknown` the 4xx of a participant may be lies: the ledger alone decides.
#[tokio::test]
async fn a_4xx_after_the_effect_is_no_lie_where_errors_are_unknown() {
    let mut stage = stage("lies", ", errors: unknown").await;
    stage.play().await;
    let mut cases = Vec::new();
    let acts = |kind: &Kind| kind.more != More::Definite && kind.place != Place::Read;
    for kind in KINDS.into_iter().filter(acts) {
        for (answer, class, _) in HTTP {
            if matches!(class, Refusal | Retryable) {
                let way = format!("after {answer}");
                let stays = kind.more == More::Irreversible;
                cases.push(case(&kind.saga(Door::Http), &way, End::Honest).may_stay(stays));
            }
        }
    }
    stage.check(part(cases)).await;
}

/// Each rule of the guide is in a cell, or in a test that is named: none is without a ledger, or without a reason.
#[test]
fn each_rule_is_in_a_cell_or_has_a_reason() {
    let mut met: BTreeSet<&str> = cells().iter().map(|cell| cell.rule).collect();
    met.extend(handlers::rules());
    for rule in DefaultRule::ALL.iter().map(|rule| rule.word()) {
        let reason = ELSEWHERE.iter().find(|(word, _)| *word == rule);
        match (met.contains(rule), reason) {
            (true, Some(_)) => panic!("{rule} is in a cell: it needs no reason"),
            (false, None) => panic!("{rule} is in no cell, and nothing says which test has it"),
            (false, Some((_, test))) => assert!(exists(test), "{rule}: there is no test {test}"),
            (true, None) => {}
        }
    }
    let words: BTreeSet<&str> = DefaultRule::ALL.iter().map(|rule| rule.word()).collect();
    let stale: Vec<_> = met.iter().filter(|word| !words.contains(*word) && !word.starts_with("classify[")).collect();
    assert!(stale.is_empty(), "cells of rules that there are not: {stale:?}");
    assert!(cells().len() > 1_400, "{}", cells().len());
}

/// Whether a test of this path is in the sources.
fn exists(test: &str) -> bool {
    let (module, name) = test.rsplit_once("::").unwrap();
    let path: PathBuf = module.split("::").collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(path);
    let files = [path.with_extension("rs"), path.join("mod.rs")];
    let sources = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    sources.into_iter().any(|source| source.contains(&format!("fn {name}(")))
}
