//! Each kind of error against each kind of step, over HTTP and over MCP: what the rules say of it, and the ledger of a
//! scripted stranger against the end. A part is run each time; `AMENDS_STRANGERS_WHOLE=1` runs all of it.

use super::stage::{Case, End, Stage, case};
use super::{WHOLE, python};

/// Share of the cells that are run without [`WHOLE`]: one in so many, others each day.
const STRIDE: usize = 3;

/// What the rules make of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Good,
    /// No effect, for good.
    Refusal,
    /// No effect, to be tried again.
    Retryable,
    /// It says nothing.
    Unknown,
    /// The tool says that it failed, and nothing of its effect.
    Errored,
    /// Accepted.
    Pending,
}
use Class::{Errored, Good, Pending, Refusal, Retryable, Unknown};

/// When the effect of the call that errs comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Before,
    After,
    Lands,
}

const TRUTHS: [(Truth, &str); 3] =
    [(Truth::Before, "before"), (Truth::After, "after"), (Truth::Lands, "lands")];

const HTTP: [(&str, Class); 29] = [
    ("500", Unknown),
    ("502", Unknown),
    ("503", Unknown),
    ("503 later", Unknown),
    ("429 later", Retryable),
    ("425", Retryable),
    ("301", Unknown),
    ("307", Refusal),
    ("400", Refusal),
    ("401", Refusal),
    ("402", Refusal),
    ("403", Refusal),
    ("403 later", Retryable),
    ("404", Refusal),
    ("408", Unknown),
    ("410", Refusal),
    ("413", Refusal),
    ("413 later", Retryable),
    ("422", Refusal),
    ("409", Unknown),
    ("409 later", Unknown),
    ("409 cut", Unknown),
    ("402 cut", Unknown),
    ("lost", Unknown),
    ("silent", Unknown),
    ("truncated", Unknown),
    ("gzip cut", Unknown),
    ("html", Unknown),
    ("202", Pending),
];

const MCP: [(&str, Class); 18] = [
    ("error", Errored),
    ("error text", Errored),
    ("-32602", Errored),
    ("-32603", Errored),
    ("-32000", Errored),
    ("-32601", Refusal),
    ("-32700", Refusal),
    ("lost", Unknown),
    ("silent", Unknown),
    ("500", Unknown),
    ("503 later", Unknown),
    ("429 later", Retryable),
    ("401", Refusal),
    ("402 cut", Unknown),
    ("truncated", Unknown),
    ("html", Unknown),
    ("block", Good),
    ("queued", Pending),
];

/// A kind of step: how its call may be repeated, and how its doubt is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    name: &'static str,
    place: Place,
    keyed: bool,
    probed: bool,
    /// What else is said of it.
    more: More,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Compensable,
    Pivot,
    Retriable,
    /// The compensation errs.
    Undo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    Nothing,
    Safe,
    Irreversible,
    /// Its errors are refusals: `errors: definite`.
    Definite,
}

const fn kind(name: &'static str, place: Place, keyed: bool, probed: bool, more: More) -> Kind {
    Kind { name, place, keyed, probed, more }
}

const KINDS: [Kind; 23] = [
    kind("once", Place::Compensable, false, false, More::Nothing),
    kind("once_probed", Place::Compensable, false, true, More::Nothing),
    kind("once_safe", Place::Compensable, false, false, More::Safe),
    kind("once_irreversible", Place::Compensable, false, false, More::Irreversible),
    kind("once_definite", Place::Compensable, false, false, More::Definite),
    kind("once_irreversible_probed", Place::Compensable, false, true, More::Irreversible),
    kind("keyed", Place::Compensable, true, false, More::Nothing),
    kind("keyed_irreversible", Place::Compensable, true, false, More::Irreversible),
    kind("keyed_probed", Place::Compensable, true, true, More::Nothing),
    kind("keyed_safe", Place::Compensable, true, false, More::Safe),
    kind("keyed_safe_probed", Place::Compensable, true, true, More::Safe),
    kind("pivot_once", Place::Pivot, false, false, More::Nothing),
    kind("pivot_once_probed", Place::Pivot, false, true, More::Nothing),
    kind("pivot_keyed", Place::Pivot, true, false, More::Nothing),
    kind("pivot_keyed_probed", Place::Pivot, true, true, More::Nothing),
    kind("retriable_keyed", Place::Retriable, true, false, More::Nothing),
    kind("retriable_once_probed", Place::Retriable, false, true, More::Nothing),
    kind("retriable_keyed_probed", Place::Retriable, true, true, More::Nothing),
    kind("undo_once", Place::Undo, false, false, More::Nothing),
    kind("undo_once_definite", Place::Undo, false, false, More::Definite),
    kind("undo_keyed", Place::Undo, true, false, More::Nothing),
    kind("undo_once_probed", Place::Undo, false, true, More::Nothing),
    kind("undo_keyed_probed", Place::Undo, true, true, More::Nothing),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Http,
    Mcp,
}

impl Kind {
    /// Over MCP an effect whose errors mean nothing to the definition is refused by `check`.
    fn may_be_called_over(&self, door: Door) -> bool {
        let says_more = self.probed || self.more != More::Nothing;
        let repeats = self.keyed && matches!(self.place, Place::Retriable | Place::Undo);
        door == Door::Http || says_more || repeats
    }

    /// How a saga must end whose call got this answer; none where the answer is a lie that the rules believe.
    fn end(&self, class: Class, truth: Truth) -> Option<End> {
        let happened = truth != Truth::Before;
        let (forward, undo) = (self.place != Place::Undo, self.place == Place::Undo);
        let good = if undo { End::Compensated } else { End::Completed };
        let failed = match self.place {
            Place::Compensable | Place::Pivot => End::Compensated,
            Place::Retriable | Place::Undo => End::Stuck("pay"),
        };
        Some(match class {
            Good => good,
            // The definition says so, and may be wrong.
            Errored if self.more == More::Definite => return self.end(Refusal, truth),
            Refusal if happened => return None,
            Refusal => failed,
            // Under the same key it does not matter what happened.
            Retryable if happened && !self.keyed => return None,
            Retryable => good,
            // An accepted call is asked about, or waited for.
            Pending if !self.probed => return None,
            Pending if happened => good,
            Pending => failed,
            Unknown if self.keyed || self.probed => good,
            Errored if self.probed && (happened || !forward || self.place == Place::Retriable) => good,
            Errored if self.probed => failed,
            Errored if self.keyed && matches!(self.place, Place::Retriable | Place::Undo) => good,
            Unknown | Errored => match self.more {
                More::Safe | More::Irreversible => End::Compensated,
                More::Nothing | More::Definite => End::Stuck("pay"),
            },
        })
    }

    fn definition(&self, door: Door) -> String {
        let name = self.saga(door);
        let call = |verb: &str, arguments: &str, more: &str| match door {
            Door::Http => {
                format!("{{ http: bank, path: /{verb}, method: POST, body: {{ {arguments} }}{more} }}")
            }
            Door::Mcp => format!("{{ tool: bank_mcp/{verb}, arguments: {{ {arguments} }}{more} }}"),
        };
        let effect = if self.keyed { "idempotent" } else { "once" };
        let times = "timeout: 8s, retry: { attempts: 6, backoff: 50ms, backoff_max: 200ms }";
        let fits = ", settle: 800ms, retry: { attempts: 25, backoff: 100ms, backoff_max: 300ms }";
        let states = ", applied: \"${ result.state == 'done' }\", absent: \"${ result.state == 'absent' }\"";
        let pending = match door {
            Door::Http => "{ when: \"${ status == 202 }\", outcome: pending }",
            Door::Mcp => "{ when: \"${ result.state == 'queued' }\", outcome: pending }",
        };
        let pending = if self.probed { format!("classify: [{pending}]") } else { "classify: []".to_owned() };
        let (order, key, of) =
            ("order: \"${ input.order }\"", "key: \"${ key }\"", "of: \"${ action_key }\"");
        let (find, voided) = (
            call("find", key, &format!("{states}{fits}")),
            call("voided", &format!("{key}, {of}"), &format!("{states}{fits}")),
        );
        let undo = self.place == Place::Undo;
        let way = |errs: bool| if errs { ", way: \"${ input.way }\"" } else { "" };
        let arguments = format!("{order}, {key}, once: {}{}", !undo && !self.keyed, way(!undo));
        let mut step =
            format!("saga: {name}\nsteps:\n  - step: pay\n    action: {}\n", call("pay", &arguments, ""));
        if undo {
            step += &format!("    effect: idempotent\n    probe: {find}\n");
        } else {
            step += &format!("    effect: {effect}\n    timeout: 8s\n    {pending}\n");
            step += "    retry: { attempts: 6, backoff: 50ms, backoff_max: 200ms }\n";
            step +=
                &if self.probed { format!("    probe: {find}\n") } else { "    settle: 800ms\n".to_owned() };
        }
        if !undo && self.more == More::Definite {
            step += "    errors: definite\n";
        }
        let mut more = ", effect: idempotent".to_owned();
        if undo {
            let asks = if self.probed { format!("probe: {voided}") } else { "settle: 800ms".to_owned() };
            let errors = if self.more == More::Definite { ", errors: definite" } else { "" };
            more = format!(", effect: {effect}, {times}, {pending}, {asks}{errors}");
        }
        let compensation = call("void", &format!("{order}, {key}, {of}{}", way(undo)), &more);
        step += &match (self.place, self.more) {
            (Place::Compensable, More::Irreversible) => "    irreversible: true\n".to_owned(),
            (Place::Compensable, More::Safe) => {
                format!("    safe_when_absent: true\n    compensation: {compensation}\n")
            }
            (Place::Compensable | Place::Undo, _) => format!("    compensation: {compensation}\n"),
            (Place::Pivot, _) => "    kind: pivot\n".to_owned(),
            (Place::Retriable, _) => "    kind: retriable\n".to_owned(),
        };
        if undo {
            let refuse = call("refuse", "", "");
            step += &format!(
                "  - step: refuse\n    effect: read_only\n    retry: {{ attempts: 1 }}\n    action: {refuse}\n"
            );
        }
        step
    }

    fn saga(&self, door: Door) -> String {
        let door = if door == Door::Http { "http" } else { "mcp" };
        format!("{door}_{}", self.name)
    }
}

/// Every cell, a lie that the rules believe aside.
fn cells() -> Vec<(Kind, Door, &'static str, Case)> {
    let mut cells = Vec::new();
    let doors =
        HTTP.iter().map(|answer| (Door::Http, answer)).chain(MCP.iter().map(|answer| (Door::Mcp, answer)));
    for (door, (answer, class)) in doors {
        for kind in KINDS.iter().filter(|kind| kind.may_be_called_over(door)) {
            for (truth, when) in TRUTHS {
                // What is said to be done is done.
                let Some(end) = kind.end(*class, truth).filter(|_| *class != Good || truth == Truth::After)
                else {
                    continue;
                };
                let case = case(&kind.saga(door), &format!("{when} {answer}"), end);
                let stays = kind.more == More::Irreversible;
                cells.push((*kind, door, *answer, case.may_stay(stays)));
            }
        }
    }
    cells
}

/// The first cell of this run's part: another each day.
fn offset() -> usize {
    let days = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() / 86_400;
    usize::try_from(days).unwrap() % STRIDE
}

/// The cells of this run.
fn chosen() -> Vec<Case> {
    let cells = cells();
    if std::env::var_os(WHOLE).is_some() {
        return cells.into_iter().map(|(.., case)| case).collect();
    }
    let part: Vec<_> = cells.into_iter().skip(offset()).step_by(STRIDE).collect();
    for kind in KINDS {
        assert!(part.iter().any(|(found, ..)| *found == kind), "{kind:?} is in no cell of the part");
    }
    for (answer, _) in HTTP.iter().chain(&MCP) {
        assert!(part.iter().any(|(_, _, found, _)| found == answer), "{answer} is in no cell of the part");
    }
    part.into_iter().map(|(.., case)| case).collect()
}

fn definitions() -> String {
    let mut definitions = Vec::new();
    for door in [Door::Http, Door::Mcp] {
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
    stage.settings(&format!(
        "  bank: {{ url: \"{url}\", protocol: http, concurrency: 2000{more} }}\n  \
         bank_mcp: {{ url: \"{url}/mcp\", concurrency: 2000 }}\n"
    ));
    stage
}

#[tokio::test]
async fn each_error_against_each_step_ends_as_the_rules_say() {
    let mut stage = stage("matrix", "").await;
    stage.play().await;
    stage.check(chosen()).await;
}

/// With `errors: unknown` the 4xx of a participant may be lies: the ledger alone decides.
#[tokio::test]
async fn a_4xx_after_the_effect_is_no_lie_where_errors_are_unknown() {
    let mut stage = stage("lies", ", errors: unknown").await;
    stage.play().await;
    let mut cases = Vec::new();
    for kind in KINDS.into_iter().filter(|kind| kind.more != More::Definite) {
        for (answer, class) in HTTP {
            if matches!(class, Refusal | Retryable) {
                let way = format!("after {answer}");
                let stays = kind.more == More::Irreversible;
                cases.push(case(&kind.saga(Door::Http), &way, End::Honest).may_stay(stays));
            }
        }
    }
    let step = if std::env::var_os(WHOLE).is_some() { 1 } else { STRIDE };
    let skipped = if step == 1 { 0 } else { offset() };
    stage.check(cases.into_iter().skip(skipped).step_by(step).collect()).await;
}

/// The rules over a few cells, in words.
#[test]
fn the_rules_of_the_matrix_are_the_documented_ones() {
    let end =
        |name: &str, class, truth| KINDS.iter().find(|kind| kind.name == name).unwrap().end(class, truth);
    assert_eq!(end("once_probed", Errored, Truth::After), Some(End::Completed));
    assert_eq!(end("once_probed", Errored, Truth::Before), Some(End::Compensated));
    assert_eq!(end("keyed_safe", Errored, Truth::Lands), Some(End::Compensated));
    assert_eq!(end("undo_keyed", Errored, Truth::After), Some(End::Compensated));
    assert_eq!(end("retriable_once_probed", Errored, Truth::Before), Some(End::Completed));
    assert_eq!(end("once", Unknown, Truth::After), Some(End::Stuck("pay")));
    assert_eq!(end("keyed", Refusal, Truth::After), None);
    assert!(cells().len() > 1_100, "{}", cells().len());
}
