//! `amends bulk | pause-definition | resume-definition | drain-node | undrain-node`: sends a request to many sagas,
//! to a definition or to a node. Owns the options and the report.
//!
//! The verbs are those of the SQL functions.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::database::{DatabaseArgs, Schema};
use super::failure::{Exit, Failure};
use super::output::{Output, harmless};
use super::value;
use crate::saga::definition::Millis;
use crate::store::{self, NodeId};

/// Request to many sagas.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Verb {
    /// Cancels them and compensates what they did.
    Cancel,
    /// Closes them as they are.
    Abandon,
    /// Pauses them: they start no call until they are resumed.
    Pause,
    /// Resumes them after a pause.
    Resume,
    /// Retries the step that is stuck.
    Retry,
}

/// `amends bulk`.
#[derive(Debug, Args)]
pub(crate) struct Bulk {
    /// Request to each saga.
    verb: Verb,
    /// Name of the definition.
    definition: String,
    /// Why; kept in the journal of each saga.
    #[arg(long)]
    reason: String,
    /// Only sagas with this status.
    #[arg(long, default_value = "stuck", value_parser = ["queued", "running", "compensating", "paused", "stuck"])]
    status: String,
    /// Only sagas started before this time, such as 2026-03-01T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = millis)]
    started_before: Option<Millis>,
    /// Most sagas, oldest first. Repeat the command until no saga is left.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i32).range(1..=1000))]
    most: i32,
    /// Spreads the wakes of parked sagas over this time.
    #[arg(long, value_name = "TIME", value_parser = value::duration, default_value = "0s")]
    spread: Duration,
    /// Retries under a new idempotency key. A saga refuses this while the call is in doubt.
    #[arg(long)]
    new_key: bool,
}

/// `amends pause-definition`.
#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// Name of the definition.
    definition: String,
    /// Why; kept with the request.
    #[arg(long)]
    reason: String,
}

/// `amends resume-definition`.
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// Name of the definition.
    definition: String,
    /// Why; kept with the request.
    #[arg(long, default_value = "")]
    reason: String,
}

/// `amends drain-node`.
#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// Number of the node, as in amends.nodes.
    node: i64,
    /// Why; kept with the request.
    #[arg(long)]
    reason: String,
}

/// `amends undrain-node`.
#[derive(Debug, Args)]
pub(crate) struct Undrain {
    /// Number of the node.
    node: i64,
    /// Why; kept with the request.
    #[arg(long, default_value = "")]
    reason: String,
}

/// Parses an instant and returns milliseconds since 1970.
pub(super) fn millis(text: &str) -> Result<Millis, String> {
    let expected = |error: String| format!("expected a time such as 2026-03-01T12:00:00Z: {error}");
    let at: jiff::Timestamp = text.parse().map_err(|error: jiff::Error| expected(error.to_string()))?;
    Millis::try_from(at.as_millisecond()).map_err(|_| expected("it is before 1970".to_owned()))
}

/// Sends one request to many sagas and prints how many got it. The answer of each saga is in its timeline.
pub(super) fn bulk(args: Bulk, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let verb = match args.verb {
        Verb::Cancel => "cancel",
        Verb::Abandon => "abandon",
        Verb::Pause => "pause",
        Verb::Resume => "resume",
        Verb::Retry => "retry",
    };
    if args.new_key && !matches!(args.verb, Verb::Retry) {
        return Err(Failure::usage("--new-key is only for retry; remove it"));
    }
    let bulk = store::Bulk {
        verb: verb.to_owned(),
        definition: args.definition,
        reason: args.reason,
        status: args.status,
        started_before: args.started_before,
        most: args.most,
        spread: args.spread,
        new_key: args.new_key,
    };
    let asked = database.run(Schema::Current, async |store| Ok(store.bulk(&bulk).await?))?;
    if output.is_json() {
        output.value(&json!({ "verb": verb, "definition": bulk.definition, "asked": asked }))?;
    } else {
        let (definition, status) = (harmless(&bulk.definition), &bulk.status);
        output.line(&format!("sent {verb} to {asked} {status} sagas of {definition}"))?;
    }
    Ok(Exit::Done)
}

/// Pauses a definition. Nodes learn of it within seconds.
pub(super) fn pause(args: &Pause, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let Pause { definition, reason } = args;
    let signal = database.run(Schema::Current, async |store| Ok(store.pause_definition(definition, reason).await?))?;
    let told = json!({ "definition": definition, "paused": true, "signal": signal });
    report(&told, &format!("{} is paused", harmless(definition)), signal, output)
}

/// Resumes a definition.
pub(super) fn resume(args: &Resume, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let Resume { definition, reason } = args;
    let signal =
        database.run(Schema::Current, async |store| Ok(store.resume_definition(definition, reason).await?))?;
    let told = json!({ "definition": definition, "paused": false, "signal": signal });
    report(&told, &format!("{} is resumed", harmless(definition)), signal, output)
}

/// Drains a node: it claims no more sagas and hands over the sagas that it runs. The node learns of it with its next
/// heartbeat.
pub(super) fn drain(args: &Drain, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let Drain { node, reason } = args;
    let signal = database.run(Schema::Current, async |store| Ok(store.drain_node(NodeId(*node), reason).await?))?;
    let told = json!({ "node": node, "draining": true, "signal": signal });
    report(&told, &format!("node {node} hands over its sagas and takes no more"), signal, output)
}

/// Ends the drain of a node.
pub(super) fn undrain(args: &Undrain, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let Undrain { node, reason } = args;
    let signal = database.run(Schema::Current, async |store| Ok(store.undrain_node(NodeId(*node), reason).await?))?;
    let told = json!({ "node": node, "draining": false, "signal": signal });
    report(&told, &format!("node {node} takes sagas again"), signal, output)
}

fn report(told: &Value, said: &str, signal: u64, output: &Output) -> Result<Exit, Failure> {
    if output.is_json() {
        output.value(told)?;
    } else {
        output.line(&format!("{said} (signal {signal})"))?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_instants() {
        assert_eq!(millis("2026-01-01T00:00:00.250Z"), Ok(1_767_225_600_250));
        assert_eq!(millis("2026-01-01T01:00:00+01:00"), Ok(1_767_225_600_000));
        assert!(millis("yesterday").unwrap_err().starts_with("expected a time such as"));
        assert!(millis("1969-01-01T00:00:00Z").unwrap_err().ends_with("it is before 1970"));
    }
}
