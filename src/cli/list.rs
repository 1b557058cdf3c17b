//! `amends list`: lists sagas, newest first. Owns the table.

use serde_json::{Value, json};
use uuid::Uuid;

use super::database::{DatabaseArgs, Schema};
use super::failure::{Exit, Failure};
use super::output::{Output, Tone, harmless};
use super::time::{instant, span};
use crate::saga::Bucket;
use crate::saga::state::Status;
use crate::store::{Filter, SagaRow};

/// Options of `amends list`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only sagas with this status: queued, running, compensating, paused, stuck, completed, compensated, abandoned.
    #[arg(long)]
    status: Option<Status>,
    /// Only sagas of this definition.
    #[arg(long, value_name = "NAME")]
    definition: Option<String>,
    /// Most sagas to list.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u16,
    /// Only sagas older than this one, which is the last saga of the previous page.
    #[arg(long, value_name = "ID")]
    before: Option<Uuid>,
}

/// Runs `amends list`.
pub(super) fn run(args: Args, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let limit = usize::from(args.limit.max(1));
    let Args { status: wanted, definition, before, limit: _ } = args;
    let filter = Filter { status: wanted, definition, before, limit, visible: None };
    let (sagas, now) =
        database.run(Schema::Current, async |store| Ok((store.list(&filter).await?, store.clock().await?)))?;
    if output.is_json() {
        output.value(&sagas.iter().map(saga_json).collect::<Vec<_>>())?;
        return Ok(Exit::Done);
    }
    if sagas.is_empty() {
        output.remark("no sagas");
        return Ok(Exit::Done);
    }
    let mut table = output.table();
    table.set_header(["ID", "DEFINITION", "STATUS", "STARTED", "AGE", "NODE"]);
    for saga in &sagas {
        let node = saga.node.map_or_else(String::new, |node| node.0.to_string());
        let age = span(saga.ended_at.unwrap_or(now).saturating_sub(saga.started_at));
        table.add_row([
            output.cell(Tone::Plain, saga.id.to_string()),
            output.cell(Tone::Plain, harmless(&saga.name)),
            output.cell(tone(saga.status), status(saga)),
            output.cell(Tone::Plain, instant(saga.started_at)),
            output.cell(Tone::Plain, age),
            output.cell(Tone::Quiet, node),
        ]);
    }
    output.line(&table.trim_fmt())?;
    if let (true, Some(last)) = (sagas.len() == limit, sagas.last()) {
        output.remark(&format!("more sagas may follow: --before {}", last.id));
    }
    Ok(Exit::Done)
}

/// Returns the status, and the saga that this saga waits behind, if any.
fn status(saga: &SagaRow) -> String {
    match saga.behind {
        Some(holder) => format!("{} behind {holder}", saga.status),
        None => saga.status.to_string(),
    }
}

/// Returns a saga as JSON, without its result.
pub(super) fn saga_json(saga: &SagaRow) -> Value {
    json!({
        "id": saga.id,
        "definition": saga.name,
        "digest": saga.digest,
        "status": saga.status,
        "started_at": instant(saga.started_at),
        "ended_at": saga.ended_at.map(instant),
        "wakes_at": saga.wake_at.map(instant),
        "behind": saga.behind,
        "node": saga.node.map(|node| node.0),
        "signals": saga.signals,
        "bucket": Bucket::from_id(saga.id).number(),
    })
}

/// Returns the tone of a status.
pub(super) fn tone(status: Status) -> Tone {
    match status {
        Status::Completed => Tone::Good,
        Status::Stuck => Tone::Bad,
        Status::Compensating | Status::Paused | Status::Abandoned => Tone::Warning,
        Status::Queued | Status::Running | Status::Compensated => Tone::Plain,
    }
}
