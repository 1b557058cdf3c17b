//! `amends list`: lists sagas, newest first. Owns the table.

use comfy_table::{ColumnConstraint, Table};
use serde_json::{Value, json};
use uuid::Uuid;

use super::database::{DatabaseArgs, Schema};
use super::failure::{Exit, Failure};
use super::output::{Output, Tone, harmless};
use super::time::{instant, span};
use crate::saga::Bucket;
use crate::saga::definition::Millis;
use crate::saga::state::Status;
use crate::store::{Filter, SagaRow};

/// Columns of a terminal in which a row of the list has room.
const WIDE: u16 = 140;

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
    let table = listing(&sagas, now, output, output.table());
    output.line(&table.trim_fmt())?;
    if let (true, Some(last)) = (sagas.len() == limit, sagas.last()) {
        output.remark(&format!("more sagas may follow: --before {}", last.id));
    }
    Ok(Exit::Done)
}

/// Fills the table. In a narrow terminal it leaves out when a saga started, which its age tells too, and behind which
/// saga it waits, so that no id is broken: ids are copied from here.
fn listing(sagas: &[SagaRow], now: Millis, output: &Output, mut table: Table) -> Table {
    let is_narrow = table.width().is_some_and(|columns| columns < WIDE);
    table.set_header(["ID", "DEFINITION", "STATUS", "STARTED", "AGE", "NODE"]);
    for saga in sagas {
        let node = saga.node.map_or_else(String::new, |node| node.0.to_string());
        let age = span(saga.ended_at.unwrap_or(now).saturating_sub(saga.started_at));
        table.add_row([
            output.cell(Tone::Plain, saga.id.to_string()),
            output.cell(Tone::Plain, harmless(&saga.name)),
            output.cell(tone(saga.status), status(saga, is_narrow)),
            output.cell(Tone::Plain, instant(saga.started_at)),
            output.cell(Tone::Plain, age),
            output.cell(Tone::Quiet, node),
        ]);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        match index {
            0 | 2 => drop(column.set_constraint(ColumnConstraint::ContentWidth)),
            3 if is_narrow => drop(column.set_constraint(ColumnConstraint::Hidden)),
            _ => {}
        }
    }
    table
}

/// Returns the status, and the saga that this saga waits behind, if any and if there is room.
fn status(saga: &SagaRow, is_narrow: bool) -> String {
    match saga.behind.filter(|_| !is_narrow) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DefinitionId, NodeId};

    fn saga(id: u128, name: &str, behind: Option<u128>) -> SagaRow {
        SagaRow {
            id: Uuid::from_u128(id),
            definition: DefinitionId(1),
            name: name.to_owned(),
            digest: String::new(),
            status: if behind.is_some() { Status::Queued } else { Status::Compensating },
            lane: None,
            node: Some(NodeId(12_345)),
            signals: 0,
            started_at: 1_700_000_000_000,
            ended_at: None,
            result: None,
            wake_at: None,
            behind: behind.map(Uuid::from_u128),
        }
    }

    #[test]
    fn an_id_is_whole_in_every_terminal() {
        let sagas =
            [saga(u128::MAX, "hotel_checkout_of_a_guest_who_stays_long", None), saga(7, "short", Some(u128::MAX))];
        for width in [60, 80, 100, 120, 140, 200] {
            let output = Output::new(false);
            let mut table = output.table();
            table.set_width(width);
            let text = listing(&sagas, 1_700_000_100_000, &output, table).trim_fmt();
            assert!(text.lines().all(|line| line.chars().count() <= usize::from(width.max(80))), "{width}\n{text}");
            for saga in &sagas {
                assert!(text.contains(&saga.id.to_string()), "{width}\n{text}");
            }
            let holder = sagas[1].behind.unwrap().to_string();
            assert_eq!(text.matches(&holder).count(), if width < WIDE { 1 } else { 2 }, "{width}\n{text}");
        }
    }
}
