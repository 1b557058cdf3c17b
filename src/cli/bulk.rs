//! `amends bulk | pause-definition | resume-definition | drain-node | undrain-node`: asks something of many sagas, of a
//! definition or of a node. Owns the options and the report; the words are those of the SQL functions.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::database::{DatabaseArgs, Schema};
use super::failure::{Exit, Failure};
use super::output::{Output, harmless};
use super::value;
use crate::saga::definition::Millis;
use crate::store::{self, NodeId};

/// What may be asked of many sagas at once.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Verb {
    /// Turns them back.
    Cancel,
    /// Closes them as they are.
    Abandon,
    /// Begins nothing new in them.
    Pause,
    /// Goes on after a pause.
    Resume,
    /// Tries the step again that is stuck.
    Retry,
}

/// `amends bulk`.
#[derive(Debug, Args)]
pub(super) struct Bulk {
    /// What to ask of each.
    verb: Verb,
    /// Name of the definition.
    definition: String,
    /// Why; kept in the journal of each.
    #[arg(long)]
    reason: String,
    /// Only sagas with this status.
    #[arg(long, default_value = "stuck", value_parser = ["queued", "running", "compensating", "paused", "stuck"])]
    status: String,
    /// Only sagas that were started before this time, such as 2026-03-01T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = millis)]
    started_before: Option<Millis>,
    /// Most sagas, oldest first; ask again until none is left.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i32).range(1..=1000))]
    most: i32,
    /// Wakes those that are parked one by one over this time.
    #[arg(long, value_name = "TIME", value_parser = value::duration, default_value = "0s")]
    spread: Duration,
    /// Retries under a new idempotency key; a call that is in doubt refuses.
    #[arg(long)]
    new_key: bool,
}

/// `amends pause-definition`.
#[derive(Debug, Args)]
pub(super) struct Pause {
    /// Name of the definition.
    definition: String,
    /// Why; kept.
    #[arg(long)]
    reason: String,
}

/// `amends resume-definition`.
#[derive(Debug, Args)]
pub(super) struct Resume {
    /// Name of the definition.
    definition: String,
    /// Why; kept.
    #[arg(long, default_value = "")]
    reason: String,
}

/// `amends drain-node`.
#[derive(Debug, Args)]
pub(super) struct Drain {
    /// Number of the node, as amends.nodes has it.
    node: i64,
    /// Why; kept.
    #[arg(long)]
    reason: String,
}

/// `amends undrain-node`.
#[derive(Debug, Args)]
pub(super) struct Undrain {
    /// Number of the node.
    node: i64,
    /// Why; kept.
    #[arg(long, default_value = "")]
    reason: String,
}

/// Reads an instant as milliseconds since 1970.
fn millis(text: &str) -> Result<Millis, String> {
    let expected = |error: String| format!("expected a time such as 2026-03-01T12:00:00Z: {error}");
    let at: jiff::Timestamp = text.parse().map_err(|error: jiff::Error| expected(error.to_string()))?;
    Millis::try_from(at.as_millisecond()).map_err(|_| expected("it is before 1970".to_owned()))
}

/// Asks the same of many sagas and says of how many; what each answers is in its timeline.
pub(super) fn bulk(args: Bulk, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let verb = match args.verb {
        Verb::Cancel => "cancel",
        Verb::Abandon => "abandon",
        Verb::Pause => "pause",
        Verb::Resume => "resume",
        Verb::Retry => "retry",
    };
    if args.new_key && !matches!(args.verb, Verb::Retry) {
        return Err(Failure::usage("--new-key goes with retry; leave it out"));
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
        output.line(&format!("{verb} was asked of {asked} {status} sagas of {definition}"))?;
    }
    Ok(Exit::Done)
}

/// Pauses a definition; nodes hear of it within seconds.
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

/// Tells a node to take no more sagas and to hand over those that it has; it hears of it with its next beat.
pub(super) fn drain(args: &Drain, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let Drain { node, reason } = args;
    let signal = database.run(Schema::Current, async |store| Ok(store.drain_node(NodeId(*node), reason).await?))?;
    let told = json!({ "node": node, "draining": true, "signal": signal });
    report(&told, &format!("node {node} hands over its sagas and takes no more"), signal, output)
}

/// Lets a node take sagas again.
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
