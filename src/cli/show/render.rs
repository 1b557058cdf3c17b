//! Prints a saga for people: head, timeline, steps, and what an operator may do. Owns the layout. Makes all foreign
//! text harmless for the terminal.

use comfy_table::Table;

use super::timeline::{Entry, StepLine, Timeline};
use super::{Shown, verb};
use crate::cli::failure::Failure;
use crate::cli::list::tone;
use crate::cli::output::{Output, Tone, clipped, harmless};
use crate::cli::time::{instant, offset, span};
use crate::config::cli::VALUE_CHARS_MAX;
use crate::saga::{Bucket, Json};

pub(super) fn render(shown: &Shown, full: bool, output: &Output) -> Result<(), Failure> {
    let length = if full { usize::MAX } else { VALUE_CHARS_MAX };
    output.line(&head(shown, length, output).trim_fmt())?;
    if let Some(timeline) = &shown.timeline {
        let mut keys = Vec::new();
        output.line("")?;
        output.line(&happened(timeline, &mut keys, output).trim_fmt())?;
        output.line("")?;
        output.line(&steps(&timeline.steps, &mut keys, length, output).trim_fmt())?;
    }
    for line in outlook(shown) {
        output.line(&line)?;
    }
    Ok(())
}

fn head(shown: &Shown, length: usize, output: &Output) -> Table {
    let saga = &shown.saga;
    let mut table = output.table();
    let mut add = |name: &str, tone: Tone, text: String| {
        table.add_row([output.cell(Tone::Quiet, name), output.cell(tone, text)]);
    };
    add("saga", Tone::Plain, saga.id.to_string());
    let digest: String = saga.digest.chars().take(12).collect();
    add("definition", Tone::Plain, format!("{} ({digest})", harmless(&saga.name)));
    add("status", tone(saga.status), saga.status.to_string());
    add("started", Tone::Plain, instant(saga.started_at));
    match saga.ended_at {
        Some(at) => {
            let took = span(at.saturating_sub(saga.started_at));
            add("ended", Tone::Plain, format!("{} after {took}", instant(at)));
        }
        None => add("age", Tone::Plain, span(shown.now.saturating_sub(saga.started_at))),
    }
    add("bucket", Tone::Quiet, Bucket::from_id(saga.id).number().to_string());
    if let Some(node) = saga.node {
        add("node", Tone::Plain, node.0.to_string());
    }
    if let Some(at) = shown.erased_at {
        add("payloads", Tone::Plain, format!("erased {}", instant(at)));
    }
    let [rows, linked] = shown.rows;
    if linked > 0 {
        add("chain", Tone::Plain, format!("{linked} of {rows} rows have a link; amends verify checks them"));
    }
    if let Some(input) = shown.input.as_ref().filter(|_| shown.erased_at.is_none()) {
        add("input", Tone::Plain, clipped(input.get(), length));
    }
    if let Some(key) = &shown.key {
        add("key", Tone::Plain, harmless(key).into_owned());
    }
    if let Some(result) = &saga.result {
        add("result", Tone::Plain, clipped(result.get(), length));
    }
    table
}

/// Returns the timeline as a table. `keys` collects the keys that were already printed.
fn happened<'a>(timeline: &'a Timeline, keys: &mut Vec<&'a str>, output: &Output) -> Table {
    let mut table = output.table();
    let started_at = timeline.entries.first().map_or(0, |entry| entry.at);
    table.set_header(["#", "AT", "TOOK", "STEP", "WHAT HAPPENED"]);
    for entry in &timeline.entries {
        table.add_row([
            output.cell(Tone::Quiet, entry.seq.to_string()),
            output.cell(Tone::Plain, offset(started_at, entry.at)),
            output.cell(Tone::Plain, entry.took_ms.map_or_else(String::new, span)),
            output.cell(Tone::Plain, entry.step.as_deref().map(harmless).unwrap_or_default()),
            output.cell(entry.tone, story(entry, keys)),
        ]);
    }
    table
}

/// Returns the text of an entry: the event, its error and its consequences, one line each. Each key is printed only
/// where it appears first.
pub(super) fn story<'a>(entry: &'a Entry, keys: &mut Vec<&'a str>) -> String {
    let mut story = harmless(&entry.text).into_owned();
    for key in entry.key.iter().chain(entry.lost.iter().map(|lost| &lost.key)) {
        story.push_str(&met(key, keys));
    }
    if let Some(error) = &entry.error {
        story.push_str(&format!("\n  {}", harmless(&error.to_string())));
    }
    for consequence in &entry.consequences {
        story.push_str(&format!("\n  -> {}", harmless(consequence)));
    }
    story
}

/// Returns a line with the key if the key was not printed before, else nothing.
fn met<'a>(key: &'a str, keys: &mut Vec<&'a str>) -> String {
    if keys.contains(&key) {
        return String::new();
    }
    keys.push(key);
    format!("\n  key {}", harmless(key))
}

fn steps<'a>(steps: &'a [StepLine], keys: &mut Vec<&'a str>, length: usize, output: &Output) -> Table {
    let mut table = output.table();
    table.set_header(["STEP", "STATE", "ATTEMPTS", "PROBES", "OUTPUT"]);
    for step in steps {
        let attempts = match (step.attempts, step.compensation_attempts) {
            (attempts, 0) => attempts.to_string(),
            (attempts, compensations) => format!("{attempts} + {compensations}"),
        };
        let key = step.key.as_deref().map(|key| met(key, keys)).unwrap_or_default();
        let result = step.output.as_ref().map_or_else(String::new, |json| shown_value(json, length));
        table.add_row([
            output.cell(Tone::Plain, harmless(&step.step)),
            output.cell(step.tone, format!("{}{key}", harmless(&step.state))),
            output.cell(Tone::Plain, attempts),
            output.cell(Tone::Plain, step.probes.to_string()),
            output.cell(Tone::Plain, result),
        ]);
    }
    table
}

fn shown_value(json: &Json, length: usize) -> String {
    clipped(json.get(), length)
}

/// Describes the notices that are not delivered yet.
fn told(shown: &Shown) -> impl Iterator<Item = String> {
    shown.notices.iter().map(|notice| {
        let event = notice.body.to_value()["event"].as_str().unwrap_or("notice").to_owned();
        let error = notice.error.as_deref().map(|error| format!("; last error: {}", harmless(error)));
        let (event, attempts) = (harmless(&event), notice.attempts);
        format!("{event} not delivered yet (attempts: {attempts}){}", error.unwrap_or_default())
    })
}

/// Describes the waits of the saga and of its calls.
fn waits(shown: &Shown) -> impl Iterator<Item = String> {
    shown.waits.iter().map(|wait| {
        let took = span(shown.now.saturating_sub(wait.since));
        let waits_for = harmless(&wait.waits_for);
        match &wait.step {
            Some(step) => {
                let call = match wait.direction.as_deref() {
                    Some("compensation") => "the compensation of ",
                    _ => "",
                };
                let step = harmless(step);
                format!("{call}{step} has waited for {waits_for} for {took}; nothing has been sent yet")
            }
            None => format!("the saga has waited for {waits_for} for {took}"),
        }
    })
}

/// Describes the signals without an answer.
fn asked(shown: &Shown) -> impl Iterator<Item = String> {
    shown.open_signals.iter().map(|signal| {
        let by = harmless(&signal.by);
        format!("asked by {by} at {}, not answered yet: {}", instant(signal.at), verb(signal))
    })
}

/// Returns the lines below the tables: problems with the journal, waits, open signals, the next timer and the legal
/// verbs.
fn outlook(shown: &Shown) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(reason) = shown.unreadable.as_ref().filter(|_| shown.died) {
        lines.push(format!("The saga was put aside, and its journal is not read here: {}.", harmless(reason)));
        lines.push("Find the cause in the logs of the nodes. After a resume, one node tries the saga once.".to_owned());
    } else if shown.lost {
        lines.push("An older version lost the saga's input before its first row, so it has called nothing.".to_owned());
        lines.push(format!(
            "Restore the input in SQL: select amends.restore_input('{}', INPUT, REASON). If the input is unknown, \
             cancel the saga first, then restore any input.",
            shown.saga.id
        ));
    } else if let Some(reason) = &shown.unreadable {
        lines.push(format!("The journal cannot be read: {}", harmless(reason)));
        lines.push("A node of the version that wrote the journal claims the saga by itself.".to_owned());
    }
    let Some(timeline) = &shown.timeline else {
        if shown.unreadable.is_none() {
            lines.push(match shown.saga.behind {
                Some(holder) => format!("The saga waits for its turn behind {holder}."),
                None => "No node has claimed this saga yet. Is a node with its definition running?".to_owned(),
            });
        }
        lines.extend(asked(shown));
        if shown.saga.behind.is_some() {
            lines.push("legal now: cancel, abandon; other requests are answered when the saga begins".to_owned());
        }
        lines.insert(0, String::new());
        return lines;
    };
    lines.extend(waits(shown));
    lines.extend(asked(shown));
    lines.extend(told(shown));
    if let Some(at) = timeline.wakes_at {
        let when = match at.checked_sub(shown.now) {
            Some(left) => format!("in {}", span(left)),
            None => format!("{} ago", span(shown.now.saturating_sub(at))),
        };
        lines.push(format!("next timer: {} ({when})", instant(at)));
    }
    if !timeline.legal_verbs.is_empty() {
        lines.push(format!("legal now: {}", harmless(&timeline.legal_verbs.join(", "))));
    }
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}
