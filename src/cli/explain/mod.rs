//! `amends explain`: what each answer means for each step. Owns the table. `participant` says what an answer means
//! and the core says what follows, so the table always agrees with them.

mod guide;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::database::{DatabaseArgs, Schema};
use super::failure::{Exit, Failure};
use super::output::{Output, Tone};
use crate::catalog::{self, Environment};
use crate::client::Client;
use crate::participant::{DefaultRule, ParticipantConfig, outcome_by_default, outcome_of_refusal, outcome_of_rule};
use crate::saga::Definition;
use crate::saga::definition::{Call, Effect, Errors, Step};
use crate::saga::event::Direction;
use crate::saga::outcome::Outcome;
use crate::saga::prospect::{Next, Prospect, prospect};
use crate::store::Error;

/// Options of `amends explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File of definitions, or name of a registered definition. Without it: the tables for all kinds of steps, as
    /// Markdown.
    #[arg(value_name = "DEFINITION")]
    definition: Option<String>,
    /// Settings file whose participants declare what their errors prove.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Table of one call.
#[derive(Debug, Serialize)]
struct Explained {
    step: String,
    /// `action` or `compensation`.
    call: &'static str,
    /// Effect and marks of the call, such as `once, probe`.
    has: String,
    rows: Vec<Row>,
}

/// One row: answers with the same outcome and the same consequence.
#[derive(Debug, Serialize)]
struct Row {
    answers: Vec<String>,
    outcome: &'static str,
    next: String,
}

/// Runs `amends explain`.
pub(super) fn run(args: &Args, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let Some(name) = &args.definition else {
        output.line(guide::tables().trim_end())?;
        return Ok(Exit::Done);
    };
    let participants = match &args.config {
        Some(file) => {
            let loaded = catalog::load(file, &Environment::of_process());
            loaded.map_err(|faults| Failure::failed(faults.to_string()))?.settings.participants
        }
        None => Vec::new(),
    };
    for definition in definitions(name, database)? {
        let tables = tables(&definition, &participants);
        if output.is_json() {
            output.value(&json!({ "definition": definition.name(), "calls": tables }))?;
            continue;
        }
        for table in &tables {
            print(definition.name(), table, output)?;
        }
    }
    Ok(Exit::Done)
}

fn definitions(name: &str, database: &DatabaseArgs) -> Result<Vec<Arc<Definition>>, Failure> {
    let path = Path::new(name);
    if path.exists() {
        let files = [path.to_owned()];
        return catalog::load_definitions(&files).map_err(|faults| Failure::failed(faults.to_string()));
    }
    let found = database
        .run(Schema::Current, async |store| Client::new(store.clone()).definition(name).await.map_err(Failure::from))?;
    found.map(|found| vec![found]).ok_or_else(|| Error::UnknownDefinition(name.to_owned()).into())
}

fn tables(definition: &Definition, participants: &[ParticipantConfig]) -> Vec<Explained> {
    let steps = definition.steps().iter().map(|planned| &planned.step);
    steps
        .flat_map(|step| step.calls().map(move |(direction, call)| table(step, direction, call, participants)))
        .collect()
}

fn table(step: &Step, direction: Direction, call: &Call, participants: &[ParticipantConfig]) -> Explained {
    let of_settings = participants.iter().find(|one| Some(one.name.as_str()) == call.target.participant());
    let errors = call.errors.or(of_settings.and_then(|one| one.answers.errors));
    let mut rows: Vec<Row> = Vec::new();
    let mut add = |answer: String, outcome: &Outcome| {
        let (outcome_word, next) = (word(outcome), next_words(step, direction, outcome));
        match rows.iter_mut().find(|row| row.outcome == outcome_word && row.next == next) {
            Some(row) => row.answers.push(answer),
            None => rows.push(Row { answers: vec![answer], outcome: outcome_word, next }),
        }
    };
    // In the order in which the program applies them.
    for (index, rule) in call.classify.iter().enumerate() {
        add(format!("`classify[{index}]`: {}", rule.when.0), &outcome_of_rule(rule));
    }
    if let Some(refused) = &call.refused {
        add(format!("`refused`: {}", refused.when.0), &outcome_of_refusal(refused.answers_key));
    }
    if let Some(success) = &call.success {
        add(format!("a good answer, and `success` is false: {}", success.0), &outcome_of_refusal(false));
    }
    for rule in DefaultRule::ALL.iter().filter(|rule| rule.is_for(call)) {
        add(rule.answer().to_owned(), &outcome_by_default(call, errors, *rule));
    }
    Explained { step: step.name.clone(), call: direction.as_str(), has: has(step, direction, call, errors), rows }
}

/// Returns the effect of a call and its marks: how an outcome in doubt is found out or tolerated, and what errors
/// prove.
fn has(step: &Step, direction: Direction, call: &Call, errors: Option<Errors>) -> String {
    let effect = match call.effect {
        Effect::ReadOnly => "read_only",
        Effect::Idempotent => "idempotent",
        Effect::Once => "once",
        Effect::Transactional => "transactional",
    };
    let errors = errors.map(|errors| match errors {
        Errors::Definite => "errors: definite",
        Errors::Unknown => "errors: unknown",
    });
    let action = direction == Direction::Action;
    let marks = [
        (call.probe.is_some(), "probe"),
        (action && step.safe_when_absent, "safe_when_absent"),
        (action && step.irreversible, "irreversible"),
    ];
    let marks = marks.into_iter().filter_map(|(there, word)| there.then_some(word));
    std::iter::once(effect).chain(marks).chain(errors).collect::<Vec<_>>().join(", ")
}

/// Returns the word for an outcome.
fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded { .. } => "succeeded",
        Outcome::Failed { retryable: true, .. } => "retryable",
        Outcome::Failed { retryable: false, .. } => "failed",
        Outcome::Pending { .. } => "pending",
        Outcome::Errored { .. } => "errored",
        Outcome::Unknown { .. } => "unknown",
    }
}

/// Describes what follows an outcome.
pub(super) fn next_words(step: &Step, direction: Direction, outcome: &Outcome) -> String {
    let Some(Prospect { next, applied, absent, inconclusive }) = prospect(step, direction, outcome) else {
        return "nothing: a definition cannot contain such a step".to_owned();
    };
    let mut text = one(next).to_owned();
    let answers = [("applied", applied), ("absent", absent), ("inconclusive", inconclusive)];
    let answers: Vec<String> =
        answers.into_iter().filter_map(|(answer, next)| Some(format!("{answer}: {}", one(next?)))).collect();
    if !answers.is_empty() {
        text.push_str(&format!(" ({})", answers.join("; ")));
    }
    text
}

fn one(next: Next) -> &'static str {
    match next {
        Next::Done => "done",
        Next::Undone => "undone",
        Next::Repeat { new_key: false } => "repeat under the same key",
        Next::Repeat { new_key: true } => "repeat under a new key",
        Next::Probe => "probe",
        Next::Await => "wait for the event",
        Next::CompensateUnknown => "turn back, compensate after `settle`",
        Next::Leave => "turn back, the effect may stay",
        Next::TurnBack => "turn back",
        Next::Stuck(_) => "stuck: a person decides",
    }
}

fn print(definition: &str, explained: &Explained, output: &Output) -> Result<(), Failure> {
    let Explained { step, call, has, rows } = explained;
    output.line(&format!("{definition}: the {call} of step {step} ({has})"))?;
    let mut table = output.table();
    table.set_header(["ANSWER", "OUTCOME", "NEXT"]);
    for row in rows {
        table.add_row([
            output.cell(Tone::Plain, row.answers.join("\n")),
            output.cell(Tone::Plain, row.outcome),
            output.cell(Tone::Plain, &row.next),
        ]);
    }
    output.line(&table.trim_fmt())?;
    output.line("")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what follows an answer to the action of a step.
    fn said(step: &Step, answer: &str) -> String {
        let call = step.call(Direction::Action).unwrap();
        let rows = table(step, Direction::Action, call, &[]).rows;
        let row = rows.iter().find(|row| row.answers.iter().any(|one| one.starts_with(answer)));
        let Row { outcome, next, .. } = row.unwrap_or_else(|| panic!("no row {answer:?}: {rows:#?}"));
        format!("{outcome}: {next}")
    }

    /// With this error, an intermediate client reports that it lost the answer of the tool.
    #[test]
    fn an_internal_error_is_no_other_protocol_error() {
        let (internal, other) = ("the JSON-RPC error -32603", "another JSON-RPC error");
        let tool = || Call::tool("bank", "find", json!({}));
        let reads = Step::new("find", tool().read_only());
        assert_eq!(said(&reads, internal), "unknown: repeat under the same key");
        assert_eq!(said(&reads, other), "failed: turn back");
        let books = Step::new("book", tool()).irreversible();
        assert_eq!(said(&books, internal), "errored: turn back, the effect may stay");
        let definite = Step::new("book", tool().errors(Errors::Definite)).irreversible();
        assert_eq!(said(&definite, internal), "failed: turn back");
    }

    /// A handler has a row for each kind of failure that it may return.
    #[test]
    fn a_handler_has_a_row_for_each_of_its_failures() {
        let keyed = Step::new("charge", Call::handler("charge").idempotent()).irreversible();
        let again = "repeat under the same key";
        for (kind, follows) in [
            ("permanent", "failed: turn back".to_owned()),
            ("retryable", format!("retryable: {again}")),
            ("pending", "pending: wait for the event".to_owned()),
            ("unknown", format!("unknown: {again}")),
        ] {
            assert_eq!(said(&keyed, &format!("`Failure::{kind}`")), follows);
        }
        let step = |call: Call| Step::new("charge", call).compensation(Call::handler("undo").transactional());
        let within = step(Call::handler("charge").transactional());
        for (answer, follows) in [
            ("`Failure::permanent`", "failed: turn back".to_owned()),
            ("`Failure::pending`", "failed: turn back".to_owned()),
            ("`Failure::unknown`", format!("retryable: {again}")),
            ("a panic", format!("retryable: {again}")),
            ("the database refuses", "failed: turn back".to_owned()),
            ("a transactional handler ended its transaction", "unknown: stuck: a person decides".to_owned()),
        ] {
            assert_eq!(said(&within, answer), follows, "{answer}");
        }
        // Rows that only a transactional handler has.
        let call = keyed.call(Direction::Action).unwrap();
        let rows = table(&keyed, Direction::Action, call, &[]).rows;
        assert!(!format!("{rows:?}").contains("transaction"), "{rows:#?}");
    }
}
