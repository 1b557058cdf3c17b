//! The tables of the guide: what each answer means, and what follows for each kind of step. Markdown, asked of the same
//! rules and the same law as everything else; a test holds the guide against it.

use std::collections::BTreeMap;

use super::{next_words, word};
use crate::participant::{DefaultRule, outcome_by_default};
use crate::saga::definition::{Call, Errors, Probe, Step, Target, Template};
use crate::saga::event::Direction;
use crate::saga::outcome::{Error, Outcome};

/// Writes both tables.
pub(super) fn tables() -> String {
    format!("{}\n{}", answers(), followings())
}

/// What each answer means, without rules of the definition.
fn answers() -> String {
    let mut text = String::from(
        "| answer | rule | outcome | with `errors: definite` | with `errors: unknown` |\n|---|---|---|---|---|\n",
    );
    for rule in DefaultRule::ALL {
        let outcome = |errors| {
            let [handler, tool, http] = targets();
            let target = [http, tool, handler].into_iter().find(|target| rule.is_for(target));
            let call = Call {
                target: target.unwrap_or_else(|| targets()[0].clone()),
                ..Call::handler("a").idempotent()
            };
            word(&outcome_by_default(&call, errors, *rule))
        };
        let usual = outcome(None);
        let other = |errors| match outcome(Some(errors)) {
            same if same == usual => "",
            other => other,
        };
        let [definite, unknown] = [other(Errors::Definite), other(Errors::Unknown)];
        text.push_str(&format!(
            "| {} | `{}` | {usual} | {definite} | {unknown} |\n",
            rule.answer(),
            rule.word()
        ));
    }
    text
}

/// A target of each kind: a handler, a tool, an HTTP request.
fn targets() -> [Target; 3] {
    let handler = Call::handler("a").target;
    let tool = Call::tool("p", "t", serde_json::json!({})).target;
    let (participant, method) = ("p".to_owned(), "POST".to_owned());
    let (path, query, headers) = (Template("/".into()), BTreeMap::new(), BTreeMap::new());
    let http = Target::Http { participant, method, path, query, headers, body: None };
    [handler, tool, http]
}

/// What follows each outcome of a first attempt, by the kind of step.
fn followings() -> String {
    let failed = |retryable| {
        let error = Error::new("guide", "guide");
        if retryable { Outcome::retryable(error, None) } else { Outcome::failed(error) }
    };
    let error = || Error::new("guide", "guide");
    let outcomes = [
        ("failed", failed(false)),
        ("retryable", failed(true)),
        ("pending", Outcome::Pending { retry_after_ms: None }),
        ("errored", Outcome::Errored { error: error(), retry_after_ms: None }),
        ("unknown", Outcome::unknown(error())),
    ];
    let mut text = String::from("| the call |");
    outcomes.iter().for_each(|(word, _)| text.push_str(&format!(" {word} |")));
    text.push_str("\n|---|---|---|---|---|---|\n");
    for (name, step, direction) in kinds() {
        text.push_str(&format!("| {name} |"));
        for (_, outcome) in &outcomes {
            text.push_str(&format!(" {} |", next_words(&step, direction, outcome)));
        }
        text.push('\n');
    }
    text
}

/// The kinds of calls that the law treats apart.
fn kinds() -> Vec<(&'static str, Step, Direction)> {
    let once = || Call::handler("a");
    let idempotent = || Call::handler("a").idempotent();
    let probed = |call: Call| {
        call.probe(Probe::new(Call::handler("find").target, "result.found").absent("!result.found"))
    };
    let undo = || Call::handler("undo").idempotent();
    let step = |call: Call| Step::new("a", call).compensation(undo());
    let undone_by = |call: Call| Step::new("a", Call::handler("a").idempotent()).compensation(call);
    let (action, compensation) = (Direction::Action, Direction::Compensation);
    vec![
        ("`read_only`", Step::new("a", Call::handler("a").read_only()), action),
        ("`once`", step(once()), action),
        ("`once`, probe", step(probed(once())), action),
        ("`once`, `safe_when_absent`", step(once()).safe_when_absent(), action),
        ("`once`, `safe_when_absent`, probe", step(probed(once())).safe_when_absent(), action),
        ("`once`, `irreversible`", Step::new("a", once()).irreversible(), action),
        ("`once`, `irreversible`, probe", Step::new("a", probed(once())).irreversible(), action),
        ("`idempotent`", step(idempotent()), action),
        ("`idempotent`, probe", step(probed(idempotent())), action),
        ("`idempotent`, `safe_when_absent`", step(idempotent()).safe_when_absent(), action),
        ("`idempotent`, `safe_when_absent`, probe", step(probed(idempotent())).safe_when_absent(), action),
        ("`idempotent`, `irreversible`", Step::new("a", idempotent()).irreversible(), action),
        ("`idempotent`, `irreversible`, probe", Step::new("a", probed(idempotent())).irreversible(), action),
        ("`transactional`", step(Call::handler("a").transactional()), action),
        ("`once` pivot", Step::new("a", once()).pivot(), action),
        ("`once` pivot, probe", Step::new("a", probed(once())).pivot(), action),
        ("`idempotent` pivot", Step::new("a", idempotent()).pivot(), action),
        ("`idempotent` pivot, probe", Step::new("a", probed(idempotent())).pivot(), action),
        ("`once`, retriable", Step::new("a", once()).retriable(), action),
        ("`once`, retriable, probe", Step::new("a", probed(once())).retriable(), action),
        ("`idempotent`, retriable", Step::new("a", idempotent()).retriable(), action),
        ("`idempotent`, retriable, probe", Step::new("a", probed(idempotent())).retriable(), action),
        ("compensation, `once`", undone_by(once()), compensation),
        ("compensation, `once`, probe", undone_by(probed(once())), compensation),
        ("compensation, `idempotent`", undone_by(idempotent()), compensation),
        ("compensation, `idempotent`, probe", undone_by(probed(idempotent())), compensation),
    ]
}
