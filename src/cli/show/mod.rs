//! `amends show`: shows a saga in full. Collects the data.
//!
//! `timeline.rs` turns the journal into a timeline, and `render.rs` prints it.

mod call;
mod key;
mod render;
#[cfg(test)]
mod tests;
mod timeline;
mod words;

use serde_json::{Value, json};
use uuid::Uuid;

use super::database::{DatabaseArgs, Schema};
use super::failure::{Exit, Failure};
use super::list::saga_json;
use super::output::Output;
use super::time::instant;
use crate::saga::definition::Millis;
use crate::saga::event::{Event, Request};
use crate::saga::{Definition, Json, replay};
use crate::store::{self, JournalRow, Pending, SagaRow, Signal, Store, WaitRow};

use key::Subject;
use timeline::Timeline;

/// Options of `amends show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Id of a saga, or an idempotency key that a participant received.
    #[arg(value_name = "ID|KEY")]
    subject: String,
    /// A key that was sent as `key_uuid` or `key_hex`: such a key does not contain the id of its saga.
    #[arg(value_name = "KEY")]
    key: Option<String>,
    /// Shows values in full.
    #[arg(long)]
    full: bool,
}

/// All data about a saga.
pub(super) struct Shown {
    saga: SagaRow,
    /// `None` until a node has written the first row, and if the journal cannot be read.
    timeline: Option<Timeline>,
    /// Why the journal cannot be read: an error found here, or the reason of the node that set the saga aside.
    unreadable: Option<String>,
    /// The saga crashed processes that read it, so its journal is not read here.
    died: bool,
    /// An older version lost the input of the saga before its first row.
    lost: bool,
    input: Option<Json>,
    /// When its payloads were erased.
    erased_at: Option<Millis>,
    /// Number of rows of its journal, and how many of them have a link.
    rows: [usize; 2],
    /// The call to which the key of the subject belongs.
    key: Option<String>,
    /// What the saga or its calls wait for on the node before they may begin.
    waits: Vec<WaitRow>,
    /// Signals without an answer.
    open_signals: Vec<Signal>,
    /// Notices that are not delivered yet.
    notices: Vec<Pending>,
    now: Millis,
}

/// Runs `amends show`.
pub(super) fn run(args: &Args, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let subject = Subject::read(&args.subject, args.key.as_deref())?;
    let shown = database.run(Schema::Current, async |store| gather(store, &subject).await)?;
    if output.is_json() {
        output.value(&shown_json(&shown))?;
    } else {
        render::render(&shown, args.full, output)?;
    }
    Ok(Exit::Done)
}

async fn gather(store: &Store, subject: &Subject) -> Result<Shown, Failure> {
    let id = subject.saga;
    let saga = store.saga(id).await?.ok_or_else(|| subject.not_found())?;
    let set_aside = store.unreadable(id).await?;
    let died = set_aside.as_ref().is_some_and(|aside| aside.died);
    let set_aside = set_aside.map(|aside| aside.reason);
    let rows = if died { Vec::new() } else { store.journal(id).await? };
    let definition = definition(store, &saga.digest).await?;
    let now = store.clock().await?;
    let (timeline, unreadable) = match told(id, &definition, &rows, now) {
        Ok(timeline) => (timeline, set_aside),
        Err(reason) => (None, Some(reason)),
    };
    let lost = unreadable.is_some() && !died && rows.is_empty();
    let input = rows.first().and_then(|row| match row.event() {
        Ok(Event::Started(started)) => Some(started.input),
        Ok(_) | Err(_) => None,
    });
    let mut open_signals = store.signals_after(id, 0).await?;
    open_signals.retain(|signal| signal.fate.is_none());
    let waits = store.waits(id).await?;
    let notices = store.pending_events(id).await?;
    let erased_at = store.erased_at(id).await?;
    let rows_linked = [rows.len(), rows.iter().filter(|row| row.link.is_some()).count()];
    let key = subject.key.as_deref().map(|key| explained(id, &definition, &rows, key));
    Ok(Shown {
        saga,
        timeline,
        unreadable,
        died,
        lost,
        input,
        erased_at,
        rows: rows_linked,
        key,
        waits,
        open_signals,
        notices,
        now,
    })
}

async fn definition(store: &Store, digest: &str) -> Result<std::sync::Arc<Definition>, Failure> {
    let stored = store.definition(digest).await?;
    let stored = stored.ok_or_else(|| store::Error::UnknownDefinition(digest.to_owned()))?;
    stored.build().map_err(|why| Failure::failed(format!("cannot read definition {} ({digest}): {why}", stored.name)))
}

/// Describes the call to which a key belongs.
fn explained(saga: Uuid, definition: &Definition, rows: &[JournalRow], key: &str) -> String {
    let events: Vec<Event> = rows.iter().map_while(|row| row.event().ok()).collect();
    match replay(definition, &events) {
        Ok(state) => key::explain(saga, definition, &state, &events, key),
        Err(illegal) => format!("key {key}: the journal cannot be read: {illegal}"),
    }
}

/// Returns the timeline of a journal. Returns `None` if the journal has no rows yet.
fn told(saga: Uuid, definition: &Definition, rows: &[JournalRow], now: Millis) -> Result<Option<Timeline>, String> {
    let decode = |row: &JournalRow| match serde_json::from_str::<Event>(&row.body) {
        Ok(event) => Ok((row.seq, event)),
        Err(error) => Err(format!("row {} ({}) of the journal: {error}", row.seq, row.kind)),
    };
    let journal: Vec<(i32, Event)> = rows.iter().map(decode).collect::<Result<_, _>>()?;
    if journal.is_empty() {
        return Ok(None);
    }
    match Timeline::new(saga, definition, &journal, now) {
        Ok(timeline) => Ok(Some(timeline)),
        Err(illegal) => Err(format!("the journal is illegal in this version of amends: {illegal}")),
    }
}

fn shown_json(shown: &Shown) -> Value {
    let mut value = saga_json(&shown.saga);
    value["input"] = json!(shown.input);
    value["erased_at"] = json!(shown.erased_at.map(instant));
    let [rows, linked] = shown.rows;
    value["journal"] = json!({ "rows": rows, "linked": linked });
    value["key"] = json!(shown.key);
    value["result"] = json!(shown.saga.result);
    let timeline = shown.timeline.as_ref();
    value["steps"] = json!(timeline.map(|timeline| &timeline.steps));
    value["timeline"] = json!(timeline.map(|timeline| &timeline.entries));
    value["unreadable"] = json!(shown.unreadable);
    value["legal_verbs"] = json!(timeline.map(|timeline| &timeline.legal_verbs));
    let wakes_at = timeline.and_then(|timeline| timeline.wakes_at);
    value["wakes_at"] = json!(wakes_at.or(shown.saga.wake_at).map(instant));
    value["waits"] = json!(shown.waits.iter().map(wait_json).collect::<Vec<_>>());
    let open: Vec<Value> = shown.open_signals.iter().map(signal_json).collect();
    value["open_signals"] = json!(open);
    value["notices"] = json!(shown.notices.iter().map(notice_json).collect::<Vec<_>>());
    value
}

fn wait_json(wait: &WaitRow) -> Value {
    json!({
        "step": wait.step,
        "direction": wait.direction,
        "for": wait.waits_for,
        "since": instant(wait.since),
    })
}

fn notice_json(notice: &Pending) -> Value {
    let body = notice.body.to_value();
    json!({
        "event": body["event"],
        "at": instant(notice.at),
        "attempts": notice.attempts,
        "error": notice.error,
        "next_at": notice.due_at.map(instant),
    })
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

/// Returns the verb of a signal. The request may be unreadable, because any SQL client can write one.
fn verb(signal: &Signal) -> String {
    match signal.request.decode::<Request>() {
        Ok(request) => request.verb().to_owned(),
        Err(_) => "a request that cannot be read".to_owned(),
    }
}
