//! Reads of sagas, lists and journals, and starts outside a batch. Owns the rows that people and programs see; the
//! core folds a journal into a state.

use std::collections::HashMap;
use std::str::FromStr;

use tokio_postgres::Row;
use uuid::Uuid;

use super::lane::LaneId;
use super::payload::Stored;
use super::pool::Params;
use super::{DefinitionId, Error, NodeId, Store, stored_key};
use crate::config::store as limits;
use crate::saga::Json;
use crate::saga::definition::Millis;
use crate::saga::event::Event;
use crate::saga::state::Status;

/// A stored saga.
#[derive(Clone, Debug)]
pub struct SagaRow {
    /// Id of the saga.
    pub id: Uuid,
    /// Number of its definition.
    pub definition: DefinitionId,
    /// Name of its definition.
    pub name: String,
    /// Digest of its definition.
    pub digest: String,
    /// Its status.
    pub status: Status,
    /// The lane that owns it; none while it is queued, ready, parked or set aside, and once it has ended.
    pub lane: Option<LaneId>,
    /// The node of that lane.
    pub node: Option<NodeId>,
    /// How many signals it has got.
    pub signals: u64,
    /// When it was started.
    pub started_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// Its result; lists leave it out.
    pub result: Option<Json>,
    /// When a parked saga wakes by itself.
    pub wake_at: Option<Millis>,
    /// While it waits for its turn: the saga that holds the turn of the same concurrency key.
    pub behind: Option<Uuid>,
}

/// One wait of a saga on its node before it may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitRow {
    /// The step whose call waits; none if the whole saga waits.
    pub step: Option<String>,
    /// Whether the step's action or its compensation waits.
    pub direction: Option<String>,
    /// What it waits for, as text for people.
    pub waits_for: String,
    /// When the wait began.
    pub since: Millis,
}

/// Which sagas a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only sagas of this status.
    pub status: Option<Status>,
    /// Only sagas of definitions with this name.
    pub definition: Option<String>,
    /// Only sagas older than this one: the last saga of the previous page.
    pub before: Option<Uuid>,
    /// Most sagas; 0 means `LIST_ROWS_MAX`.
    pub limit: usize,
    /// Only sagas that one caller may see. Default: all.
    pub visible: Option<Visible>,
}

/// Which sagas a caller may see: its own, and those of some definitions.
#[derive(Clone, Debug)]
pub struct Visible {
    /// The caller, as the owner of the keys that started its own sagas.
    pub owner: String,
    /// Names of the definitions.
    pub definitions: Vec<String>,
}

/// One row of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRow {
    /// Position in the journal, from 1, without gaps.
    pub seq: i32,
    /// The lane that wrote it.
    pub lane: LaneId,
    /// When it was written.
    pub at: Millis,
    /// Kind of event, as a word.
    pub kind: String,
    /// The event as JSON.
    pub body: String,
    /// Its link, if the journal is chained.
    pub link: Option<Box<[u8]>>,
}

impl JournalRow {
    /// Parses the event; an error names the row and the reason.
    pub fn event(&self) -> Result<Event, String> {
        serde_json::from_str(&self.body)
            .map_err(|error| format!("row {} ({}) of the journal: {error}", self.seq, self.kind))
    }
}

/// What a start may say besides its definition and its input.
#[derive(Clone, Copy, Debug, Default)]
pub struct StartOptions<'a> {
    /// The id that the caller chose; another id comes back if the key has started a saga before. None: a new id.
    pub id: Option<Uuid>,
    /// Start key, as its owner writes it.
    pub key: Option<&'a str>,
    /// Whose key it is: `mcp:NAME` for a caller over MCP. None: an application's.
    pub owner: Option<&'a str>,
    /// The caller's position in a trace.
    pub traceparent: Option<&'a str>,
    /// Name of the caller. None: the session's user, who is recorded with its claim. Empty: the session's user, without
    /// a record, as for a start on a lane by the program around a node.
    pub asker: Option<&'a str>,
}

impl Store {
    /// Reads one saga, live or ended.
    pub async fn saga(&self, id: Uuid) -> Result<Option<SagaRow>, Error> {
        let rows = self.query(sql!("saga", "read"), &[&id]).await?;
        // One statement has one snapshot: the saga cannot end between its two halves.
        rows.first().map(saga_row).transpose()
    }

    /// Reads what a saga waits for before it may begin, as of its node's last beat.
    pub async fn waits(&self, id: Uuid) -> Result<Vec<WaitRow>, Error> {
        let rows = self.query(sql!("saga", "waits"), &[&id]).await?;
        let wait = |row: &Row| {
            Ok(WaitRow {
                step: row.try_get("step")?,
                direction: row.try_get("direction")?,
                waits_for: row.try_get("waits_for")?,
                since: super::millis(row.try_get("since")?),
            })
        };
        rows.iter().map(wait).collect()
    }

    /// Returns the status and the result of an ended saga; none while it is live.
    pub async fn result(&self, id: Uuid) -> Result<Option<(Status, Option<Json>)>, Error> {
        let saga = self.saga(id).await?.ok_or(Error::UnknownSaga(id))?;
        Ok(saga.status.is_end().then_some((saga.status, saga.result)))
    }

    /// Lists sagas, newest first.
    pub async fn list(&self, filter: &Filter) -> Result<Vec<SagaRow>, Error> {
        let limit = match i64::try_from(filter.limit) {
            Ok(0) | Err(_) => limits::LIST_ROWS_MAX,
            Ok(limit) => limit.min(limits::LIST_ROWS_MAX),
        };
        let sql = match filter.status {
            Some(Status::Paused | Status::Stuck) => sql!("saga", "list_halted"),
            Some(_) | None => sql!("saga", "list"),
        };
        let status = filter.status.map(Status::as_str);
        let visible = filter.visible.as_ref();
        let owner = visible.map(|visible| visible.owner.as_str());
        let names = visible.map(|visible| visible.definitions.as_slice());
        let rows = self.query(sql, &[&status, &filter.definition, &filter.before, &limit, &owner, &names]).await?;
        rows.iter().map(saga_row).collect()
    }

    /// Counts sagas by status. Reads every row, so keep it out of hot paths.
    pub async fn counts(&self) -> Result<HashMap<Status, u64>, Error> {
        let rows = self.query(sql!("saga", "count"), &[]).await?;
        rows.iter().map(|row| Ok((status(row)?, super::millis(row.try_get("sagas")?)))).collect()
    }

    /// Returns those of the sagas that are not live, each with its final status and result; none for an unknown saga.
    pub async fn ended(&self, ids: &[Uuid]) -> Result<Vec<(Uuid, Option<(Status, Json)>)>, Error> {
        let rows = self.query(sql!("saga", "ended"), &[&ids]).await?;
        let end = |row: &Row| -> Result<_, Error> {
            let Some(_) = row.try_get::<_, Option<&str>>("status")? else { return Ok(None) };
            let result = Stored::maybe(row, "result")?.and_then(Stored::json);
            Ok(Some((status(row)?, result.unwrap_or_else(Json::null))))
        };
        rows.iter().map(|row| Ok((row.try_get("id")?, end(row)?))).collect()
    }

    /// Reads the journal of one saga.
    pub async fn journal(&self, id: Uuid) -> Result<Vec<JournalRow>, Error> {
        Ok(self.load(&[id]).await?.remove(&id).unwrap_or_default())
    }

    /// Reads the journals of several sagas. After a claim, this later statement sees every row of the previous owner.
    pub async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Vec<JournalRow>>, Error> {
        let rows = self.query(sql!("journal", "load"), &[&ids]).await?;
        let mut journals: HashMap<Uuid, Vec<JournalRow>> = HashMap::with_capacity(ids.len());
        for row in &rows {
            journals.entry(row.try_get("id")?).or_default().push(journal_row(row)?);
        }
        Ok(journals)
    }

    /// Starts a saga by the name of its definition; any node may take it. With a key, the call may be repeated: the
    /// same key and input return the first saga, another input is [`Error::KeyConflict`]. Without a key,
    /// [`Error::Unavailable`] may hide a start that took place.
    pub async fn start(&self, definition: &str, input: &Json, key: Option<&str>) -> Result<Uuid, Error> {
        self.start_with(definition, input, StartOptions { key, ..StartOptions::default() }).await
    }

    /// Starts a saga as [`Store::start`] does, with these options.
    pub async fn start_with(&self, definition: &str, input: &Json, options: StartOptions<'_>) -> Result<Uuid, Error> {
        let StartOptions { id, key, owner, traceparent, asker } = options;
        // The database cannot tell a key of this program from one of an older node that has checked its caller.
        key.map(|key| stored_key(owner, key)).transpose()?;
        let (sql, input) = (sql!("saga", "start"), Stored::of_json(input));
        let params: Params<'_> = &[&id, &definition, &input, &key, &traceparent, &asker, &owner];
        let rows = match key {
            Some(_) => self.query(sql, params).await?,
            None => self.query_once(sql, params).await?,
        };
        Ok(rows.first().ok_or_else(super::no_row)?.try_get("id")?)
    }
}

/// Reads a row of a journal.
pub(super) fn journal_row(row: &Row) -> Result<JournalRow, Error> {
    Ok(JournalRow {
        seq: row.try_get("seq")?,
        lane: LaneId(row.try_get("lane")?),
        at: super::millis(row.try_get("at")?),
        kind: row.try_get("kind")?,
        body: Stored::read(row, "body")?.text().to_owned(),
        link: row.try_get::<_, Option<&[u8]>>("link")?.map(Into::into),
    })
}

fn status(row: &Row) -> Result<Status, Error> {
    let word: &str = row.try_get("status")?;
    Status::from_str(word).map_err(|message| Error::Rejected { code: "status".to_owned(), message })
}

fn saga_row(row: &Row) -> Result<SagaRow, Error> {
    let result = Stored::maybe(row, "result")?;
    let moment = |name| Ok::<_, Error>(row.try_get::<_, Option<i64>>(name)?.map(super::millis));
    Ok(SagaRow {
        id: row.try_get("id")?,
        definition: DefinitionId(row.try_get("definition")?),
        name: row.try_get("name")?,
        digest: row.try_get("digest")?,
        status: status(row)?,
        lane: row.try_get::<_, Option<i64>>("lane")?.map(LaneId),
        node: row.try_get::<_, Option<i64>>("node")?.map(NodeId),
        signals: super::millis(row.try_get("signals")?),
        started_at: super::millis(row.try_get("started_at")?),
        ended_at: moment("ended_at")?,
        result: result.map(|result| result.json().unwrap_or_else(Json::null)),
        wake_at: moment("wake_at")?,
        behind: row.try_get("behind")?,
    })
}
