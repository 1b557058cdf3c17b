//! Markdown tables of the guide: what each answer means, and what follows for each kind of step. The program's own
//! rules fill the tables. A test compares the README with them.

use std::collections::BTreeMap;

use super::{next_words, word};
use crate::participant::{DefaultRule, as_recorded, outcome_by_default};
use crate::saga::definition::{Call, Effect, Errors, Probe, Step, Target, Template};
use crate::saga::event::Direction;
use crate::saga::outcome::{Error, Outcome};

/// Returns both tables.
pub(super) fn tables() -> String {
    format!("{}\n{}", answers(), followings())
}

/// Returns the table of answers: what each answer means without rules of a definition.
fn answers() -> String {
    let mut text = String::from(
        "| answer | rule | outcome | with `errors: definite` | with `errors: unknown` | `read_only` | \
         `transactional` |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for rule in DefaultRule::ALL {
        let outcome = |effect, errors| {
            let call = meets(*rule, effect)?;
            Some(word(&outcome_by_default(&call, errors, *rule)))
        };
        let [keyed, once] = [Effect::Idempotent, Effect::Once];
        let with_effect = |errors| outcome(keyed, errors).or(outcome(once, errors));
        // An answer that only a transactional handler gets has one outcome.
        let usual = with_effect(None).unwrap_or_default();
        let other = |outcome: Option<&'static str>| outcome.filter(|other| *other != usual).unwrap_or_default();
        let [definite, unknown] = [Errors::Definite, Errors::Unknown].map(|errors| other(with_effect(Some(errors))));
        let [reads, transactional] =
            [Effect::ReadOnly, Effect::Transactional].map(|effect| other(outcome(effect, None)));
        text.push_str(&format!(
            "| {} | `{}` | {usual} | {definite} | {unknown} | {reads} | {transactional} |\n",
            rule.answer(),
            rule.word()
        ));
    }
    text
}

/// Returns a call with this effect that can get an answer for this rule.
fn meets(rule: DefaultRule, effect: Effect) -> Option<Call> {
    let handler = Call::handler("a").target;
    let tool = Call::tool("p", "t", serde_json::json!({})).target;
    let (participant, method) = ("p".to_owned(), "POST".to_owned());
    let (path, query, headers) = (Template("/".into()), BTreeMap::new(), BTreeMap::new());
    let http = Target::Http { participant, method, path, query, headers, body: None };
    let others = [http, tool].into_iter().filter(|_| effect != Effect::Transactional);
    let calls = others.chain([handler]).map(|target| Call { effect, ..Call::new(target) });
    calls.into_iter().find(|call| rule.is_for(call))
}

/// Returns the table of consequences: what follows each outcome of a first attempt, by kind of step.
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
            let recorded = step.call(direction).map(|call| as_recorded(call, outcome.clone()));
            let next = recorded.map(|outcome| next_words(&step, direction, &outcome));
            text.push_str(&format!(" {} |", next.unwrap_or_default()));
        }
        text.push('\n');
    }
    text
}

/// Returns the kinds of calls with different rules, each as an example step.
fn kinds() -> Vec<(&'static str, Step, Direction)> {
    let once = || Call::handler("a");
    let idempotent = || Call::handler("a").idempotent();
    let probed =
        |call: Call| call.probe(Probe::new(Call::handler("find").target, "result.found").absent("!result.found"));
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
        ("compensation, `transactional`", undone_by(Call::handler("a").transactional()), compensation),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds a row of a table by its first cell. Returns the other cells that are not empty.
    fn row(table: &str, name: &str) -> Vec<String> {
        let found = table.lines().find(|line| line.starts_with(&format!("| {name} |")));
        let cells = found.unwrap_or_else(|| panic!("no row {name:?} in\n{table}")).split(" |").skip(1);
        cells.map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
    }

    /// An open outcome of a transactional handler is rolled back: pending fails for good, and other outcomes may be
    /// retried.
    #[test]
    fn what_a_transactional_handler_leaves_open_is_rolled_back() {
        let again = "repeat under the same key";
        let said = followings();
        assert_eq!(row(&said, "`transactional`"), ["turn back", again, "turn back", again, again]);
        let stuck = "stuck: a person decides";
        assert_eq!(row(&said, "compensation, `transactional`"), [stuck, again, stuck, again, again]);
    }

    /// A step with a possible effect is not done: the saga turns back.
    #[test]
    fn a_probe_without_a_word_leaves_no_step_done() {
        let said = followings();
        assert!(!said.contains("inconclusive: done"), "{said}");
        let errored = &row(&said, "`once`, `safe_when_absent`, probe")[3];
        assert!(errored.ends_with("inconclusive: turn back, compensate after `settle`)"), "{errored}");
    }
}
