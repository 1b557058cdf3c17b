//! `amends show`: everything that is known of a saga. Owns gathering it; the journal's story is told by
//! `timeline.rs`, its look is `render.rs`.

mod render;
mod timeline;
mod words;

use serde_json::{Value, json};
use uuid::Uuid;

use super::database::{DatabaseArgs, Schema};
use super::failure::{Exit, Failure};
use super::list::saga_json;
use super::output::Output;
use super::time::instant;
use crate::saga::definition::{Draft, Millis};
use crate::saga::event::{Event, Request};
use crate::saga::{Definition, Json};
use crate::store::{self, JournalRow, SagaRow, Signal, Store};

use timeline::Timeline;

/// Options of `amends show`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The saga.
    #[arg(value_name = "ID")]
    saga: Uuid,
    /// Shows values in full length.
    #[arg(long)]
    full: bool,
}

/// Everything that is known of a saga.
pub(super) struct Shown {
    saga: SagaRow,
    /// None before a node has taken it.
    timeline: Option<Timeline>,
    input: Option<Json>,
    /// Asked, but not answered yet.
    open_signals: Vec<Signal>,
    now: Millis,
}

/// Prints a saga.
pub(super) fn run(args: &Args, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let shown = database.run(Schema::Current, async |store| gather(store, args.saga).await)?;
    if output.is_json() {
        output.value(&shown_json(&shown))?;
    } else {
        render::render(&shown, args.full, output)?;
    }
    Ok(Exit::Done)
}

async fn gather(store: &Store, id: Uuid) -> Result<Shown, Failure> {
    let saga = store.saga(id).await?.ok_or(store::Error::UnknownSaga(id))?;
    let journal = events(&store.journal(id).await?)?;
    let timeline = if journal.is_empty() {
        None
    } else {
        let definition = definition(store, &saga.digest).await?;
        let timeline = Timeline::of(&definition, &journal);
        Some(timeline.map_err(|error| {
            let reason = "the journal of this saga does not follow the law of this version of amends";
            Failure::failed(format!("{reason}: {error}; use the version of the node that runs it"))
        })?)
    };
    let input = journal.first().and_then(|(_, event)| match event {
        Event::Started(started) => Some(started.input.clone()),
        _ => None,
    });
    let mut open_signals = store.signals_after(id, 0).await?;
    open_signals.retain(|signal| signal.fate.is_none());
    Ok(Shown { saga, timeline, input, open_signals, now: store.clock().await? })
}

async fn definition(store: &Store, digest: &str) -> Result<std::sync::Arc<Definition>, Failure> {
    let stored = store.definition(digest).await?;
    let stored = stored.ok_or_else(|| store::Error::UnknownDefinition(digest.to_owned()))?;
    let unreadable =
        |why: String| Failure::failed(format!("cannot read definition {} ({digest}): {why}", stored.name));
    let draft: Draft = serde_json::from_str(&stored.draft).map_err(|error| unreadable(error.to_string()))?;
    Definition::build(draft).map_err(|faults| {
        let faults: Vec<String> =
            faults.iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect();
        unreadable(faults.join("; "))
    })
}

fn events(rows: &[JournalRow]) -> Result<Vec<(i32, Event)>, Failure> {
    let decode = |row: &JournalRow| {
        let event = serde_json::from_str(&row.body).map_err(|error| {
            let seq = row.seq;
            Failure::failed(format!("cannot read row {seq} of the journal, a {:?}: {error}", row.kind))
        })?;
        Ok((row.seq, event))
    };
    rows.iter().map(decode).collect()
}

fn shown_json(shown: &Shown) -> Value {
    let mut value = saga_json(&shown.saga);
    value["input"] = json!(shown.input);
    value["result"] = json!(shown.saga.result);
    let timeline = shown.timeline.as_ref();
    value["steps"] = json!(timeline.map(|timeline| &timeline.steps));
    value["timeline"] = json!(timeline.map(|timeline| &timeline.entries));
    value["legal_verbs"] = json!(timeline.map(|timeline| &timeline.legal_verbs));
    let wakes_at = timeline.and_then(|timeline| timeline.wakes_at);
    value["wakes_at"] = json!(wakes_at.or(shown.saga.wake_at).map(instant));
    let open: Vec<Value> = shown.open_signals.iter().map(signal_json).collect();
    value["open_signals"] = json!(open);
    value
}

fn signal_json(signal: &Signal) -> Value {
    json!({
        "signal": signal.n,
        "at": instant(signal.at),
        "by": signal.by,
        "application_name": signal.application_name,
        "address": signal.addr,
        "request": signal.request,
    })
}

/// Returns the verb of a signal that anybody may have written.
fn verb(signal: &Signal) -> String {
    match signal.request.decode::<Request>() {
        Ok(request) => request.verb().to_owned(),
        Err(_) => "a request that cannot be read".to_owned(),
    }
}
