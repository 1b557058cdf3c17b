//! The batch: transitions of many sagas in one fenced autocommit statement. Owns its shapes, sending it until its outcome is
//! known, and telling whose row won; gathering batches is left to the actors.
//!
//! Sending a batch again is safe: the journal's key lets each row in once, everything else hangs on the rows that were let
//! in, and the journal says whose row is there. That holds because a saga has at most one row under way.

use std::collections::HashSet;

use tokio_postgres::Row;
use uuid::Uuid;

use super::error::Remedy;
use super::lane::{Failure, Lane, Sends, Verb};
use super::{DefinitionId, Error};
use crate::config::store as limits;
use crate::saga::Json;
use crate::saga::state::Status;

/// One row of the journal, and what changes with it.
#[derive(Clone, Debug)]
pub struct Transition {
    /// Which saga.
    pub id: Uuid,
    /// Place in its journal, from 1.
    pub seq: i32,
    /// What kind of event, as a word.
    pub kind: &'static str,
    /// The event as JSON.
    pub body: Json,
    /// Set in the first row: creates the saga, owned by the lane.
    pub start: Option<Start>,
    /// The status when it has changed; ends do not need it.
    pub status: Option<Status>,
    /// Set in the last row.
    pub end: Option<End>,
    /// The signal that this row answers.
    pub signal: Option<Fate>,
    /// An event for the outside.
    pub outbox: Option<Json>,
}

/// What the first row creates.
#[derive(Clone, Debug)]
pub struct Start {
    /// The definition it is pinned to.
    pub definition: DefinitionId,
    /// Makes the start idempotent.
    pub key: Option<StartKey>,
}

/// An idempotency key of a start, with the input it stands for.
#[derive(Clone, Debug)]
pub struct StartKey {
    key: String,
    input: Json,
}

impl StartKey {
    /// Checks a key: 1 to 512 bytes, no NUL.
    pub fn new(key: impl Into<String>, input: Json) -> Result<Self, Error> {
        let key = key.into();
        if key.is_empty() || key.len() > limits::KEY_BYTES_MAX || key.contains('\0') {
            return Err(Error::Invalid(format!(
                "expected a key of 1 to {} bytes without NUL, found {} bytes",
                limits::KEY_BYTES_MAX,
                key.len()
            )));
        }
        Ok(Self { key, input })
    }
}

/// How a saga ended.
#[derive(Clone, Debug)]
pub struct End {
    /// One of the three ends.
    pub status: Status,
    /// What came out.
    pub result: Option<Json>,
}

/// What became of a signal.
#[derive(Clone, Debug)]
pub struct Fate {
    /// Number of the signal.
    pub n: u64,
    /// Why it was refused; none if it was applied.
    pub refusal: Option<String>,
}

/// What became of one transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is durable.
    Accepted,
    /// Somebody else wrote this place of the journal: drop the actor, the saga has another owner.
    Refused,
    /// The key was used before with the same input; nothing was started.
    Duplicate {
        /// The saga that was.
        existing: Uuid,
    },
    /// The key was used before with another input; nothing was started.
    KeyConflict {
        /// The saga that was started with it.
        existing: Uuid,
    },
    /// Somebody's open transaction holds the saga's row or the key. Nothing was written: send it again after a while.
    Busy,
    /// The database cannot take this row, now or later: a defect. Nothing was written.
    Rejected {
        /// The database's words.
        message: String,
    },
}

impl Lane {
    /// Writes a batch and returns what became of each transition, in their order. One commit, unless somebody's open
    /// transaction is in the way: then the rest does not wait for it.
    ///
    /// [`Error::Fenced`]: the lane is dead, nothing was written. [`Error::Unavailable`]: the outcome is unknown; call again
    /// with *the same* transitions, and with no other row of these sagas, until it is known. Do not drop the future and take
    /// that for a failure. At most one transition of each saga, at most `BATCH_ROWS_MAX` of them.
    pub async fn commit(&mut self, batch: &[Transition]) -> Result<Vec<Written>, Error> {
        assert!(batch.len() <= limits::BATCH_ROWS_MAX, "a batch has at most {} rows", limits::BATCH_ROWS_MAX);
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let mut order: Vec<usize> = (0..batch.len()).collect();
        order.sort_unstable_by_key(|&index| batch[index].id);
        assert!(
            order.windows(2).all(|pair| batch[pair[0]].id != batch[pair[1]].id),
            "a batch has at most one row of each saga"
        );
        let rows: Vec<&Transition> = order.iter().map(|&index| &batch[index]).collect();
        let written = self.write_all(&rows).await.map_err(|failure| failure.error)?;
        let mut answers = vec![Written::Refused; batch.len()];
        for (index, answer) in order.into_iter().zip(written) {
            answers[index] = answer;
        }
        Ok(answers)
    }

    /// Writes rows that are in the order of ids.
    async fn write_all(&mut self, rows: &[&Transition]) -> Result<Vec<Written>, Failure> {
        match self.write_until_known(rows).await {
            Err(failure) if failure.remedy == Remedy::Split => self.write_apart(rows).await,
            Err(Failure { error: Error::Rejected { message, .. }, .. }) if rows.len() == 1 => {
                Ok(vec![Written::Rejected { message }])
            }
            Err(Failure { error: Error::Rejected { .. }, .. }) => self.write_apart(rows).await,
            answer => answer,
        }
    }

    async fn write_until_known(&mut self, rows: &[&Transition]) -> Result<Vec<Written>, Failure> {
        let mut sends = Sends::default();
        loop {
            match self.write(rows).await {
                Err(failure) if sends.may_repeat(&failure) => sends.pause().await,
                answer => return answer,
            }
        }
    }

    /// Sends the batch once; what was not let in is looked up.
    async fn write(&mut self, rows: &[&Transition]) -> Result<Vec<Written>, Failure> {
        let id = self.id().0;
        let columns = Columns::of(rows);
        let accepted = self.send(Verb::Commit, &columns.params(&id)).await?;
        if accepted.len() == rows.len() {
            return Ok(vec![Written::Accepted; rows.len()]);
        }
        if accepted.is_empty() {
            self.check_live().await?;
        }
        let accepted: HashSet<Uuid> =
            accepted.iter().map(|row| row.try_get("id")).collect::<Result<_, tokio_postgres::Error>>()?;
        let missing: Vec<&Transition> =
            rows.iter().copied().filter(|row| !accepted.contains(&row.id)).collect();
        let mut resolved = self.resolve(&missing).await?.into_iter();
        Ok(rows
            .iter()
            .map(|row| match accepted.contains(&row.id) {
                true => Written::Accepted,
                false => resolved.next().unwrap_or(Written::Refused),
            })
            .collect())
    }

    /// Says of rows that were not let in whose row is there instead.
    async fn resolve(&mut self, missing: &[&Transition]) -> Result<Vec<Written>, Failure> {
        let key = |row: &Transition| row.start.as_ref().and_then(|start| start.key.clone());
        let keys: Vec<Option<StartKey>> = missing.iter().map(|row| key(row)).collect();
        let ids: Vec<Uuid> = missing.iter().map(|row| row.id).collect();
        let seqs: Vec<i32> = missing.iter().map(|row| row.seq).collect();
        let definitions: Vec<Option<i32>> =
            missing.iter().map(|row| row.start.as_ref().map(|start| start.definition.0)).collect();
        let names: Vec<Option<&str>> =
            keys.iter().map(|key| key.as_ref().map(|key| key.key.as_str())).collect();
        let inputs: Vec<Option<&str>> =
            keys.iter().map(|key| key.as_ref().map(|key| key.input.get())).collect();
        let found = self.send(Verb::Resolve, &[&ids, &seqs, &definitions, &names, &inputs]).await?;
        ids.iter()
            .map(|id| {
                for row in &found {
                    if row.try_get::<_, Uuid>("id")? == *id {
                        return self.verdict(row);
                    }
                }
                Ok(Written::Refused)
            })
            .collect()
    }

    fn verdict(&self, row: &Row) -> Result<Written, Failure> {
        let lane: Option<i64> = row.try_get("lane")?;
        let first: Option<Uuid> = row.try_get("first")?;
        let same_input: Option<bool> = row.try_get("same_input")?;
        Ok(match (lane, first) {
            // An earlier send of this very row was committed, only its answer was lost.
            (Some(lane), _) if lane == self.id().0 => Written::Accepted,
            (Some(_), _) => Written::Refused,
            (None, Some(existing)) if same_input == Some(true) => Written::Duplicate { existing },
            (None, Some(existing)) => Written::KeyConflict { existing },
            // The key is gone again between the two statements.
            (None, None) => Written::Busy,
        })
    }

    /// Writes a batch that as a whole ran into a lock or a rejection: what can wait for nobody in one commit, the rest row
    /// by row, so that one saga holds up no other for long.
    async fn write_apart(&mut self, rows: &[&Transition]) -> Result<Vec<Written>, Failure> {
        self.check_live().await.map_err(|failure| match failure.remedy {
            Remedy::Split => {
                Failure { remedy: Remedy::Split, error: Error::Busy("the lane is locked".to_owned()) }
            }
            Remedy::Reconnect | Remedy::Repeat | Remedy::GiveUp => failure,
        })?;
        let (waiting, free): (Vec<usize>, Vec<usize>) =
            (0..rows.len()).partition(|&index| rows[index].may_wait());
        let mut answers = vec![Written::Busy; rows.len()];
        let group: Vec<&Transition> = free.iter().map(|&index| rows[index]).collect();
        let mut singles = waiting;
        match self.write_until_known(&group).await {
            Ok(written) => {
                for (index, answer) in free.into_iter().zip(written) {
                    answers[index] = answer;
                }
            }
            Err(Failure { error: Error::Rejected { .. }, .. }) => singles.extend(free),
            Err(failure) => return Err(failure),
        }
        let mut busy = 0;
        for index in singles {
            match self.write_until_known(&rows[index..=index]).await {
                Ok(mut written) => answers[index] = written.pop().unwrap_or(Written::Refused),
                Err(Failure { remedy: Remedy::Split, .. }) => busy += 1,
                Err(Failure { error: Error::Rejected { message, .. }, .. }) => {
                    answers[index] = Written::Rejected { message };
                }
                Err(failure) => return Err(failure),
            }
            if busy >= limits::BUSY_ROWS_MAX {
                break;
            }
        }
        Ok(answers)
    }
}

impl Transition {
    /// A row of the journal with which nothing else changes.
    pub fn new(id: Uuid, seq: i32, kind: &'static str, body: Json) -> Self {
        Self { id, seq, kind, body, start: None, status: None, end: None, signal: None, outbox: None }
    }

    /// Whether somebody else's transaction could hold what the row needs.
    fn may_wait(&self) -> bool {
        self.end.is_some() || self.status.is_some() || self.key().is_some()
    }

    fn key(&self) -> Option<&StartKey> {
        self.start.as_ref().and_then(|start| start.key.as_ref())
    }
}

/// The batch as arrays: each table gets only the rows that concern it.
#[derive(Default)]
struct Columns<'a> {
    rows: (Vec<Uuid>, Vec<i32>, Vec<&'a str>, Vec<&'a str>),
    keyed: (Vec<Uuid>, Vec<i32>, Vec<&'a str>, Vec<&'a str>, Vec<&'a str>),
    created: (Vec<Uuid>, Vec<i32>, Vec<&'a str>),
    changed: (Vec<Uuid>, Vec<&'a str>),
    ended: (Vec<Uuid>, Vec<&'a str>, Vec<Option<&'a str>>, Vec<Option<i32>>),
    answered: (Vec<Uuid>, Vec<i64>, Vec<&'a str>, Vec<Option<&'a str>>),
    told: (Vec<Uuid>, Vec<i32>, Vec<&'a str>),
}

impl<'a> Columns<'a> {
    fn of(rows: &[&'a Transition]) -> Self {
        let mut columns = Self::default();
        columns.rows.0.reserve(rows.len());
        columns.rows.1.reserve(rows.len());
        columns.rows.2.reserve(rows.len());
        columns.rows.3.reserve(rows.len());
        for row in rows {
            columns.push(row);
        }
        columns
    }

    fn push(&mut self, row: &'a Transition) {
        match (&row.start, row.key()) {
            (Some(start), Some(key)) => {
                self.keyed.0.push(row.id);
                self.keyed.1.push(start.definition.0);
                self.keyed.2.push(&key.key);
                self.keyed.3.push(key.input.get());
                self.keyed.4.push(row.body.get());
            }
            (Some(_), None) | (None, _) => {
                self.rows.0.push(row.id);
                self.rows.1.push(row.seq);
                self.rows.2.push(row.kind);
                self.rows.3.push(row.body.get());
            }
        }
        let status = row.status.unwrap_or(Status::Running).as_str();
        match (&row.start, &row.end) {
            (Some(start), Some(end)) => self.push_end(row.id, end, Some(start.definition.0)),
            (None, Some(end)) => self.push_end(row.id, end, None),
            (Some(start), None) => {
                self.created.0.push(row.id);
                self.created.1.push(start.definition.0);
                self.created.2.push(status);
            }
            (None, None) if row.status.is_some() => {
                self.changed.0.push(row.id);
                self.changed.1.push(status);
            }
            (None, None) => {}
        }
        if let Some(fate) = &row.signal {
            self.answered.0.push(row.id);
            self.answered.1.push(super::signed(fate.n));
            self.answered.2.push(if fate.refusal.is_none() { "applied" } else { "refused" });
            self.answered.3.push(fate.refusal.as_deref());
        }
        if let Some(body) = &row.outbox {
            self.told.0.push(row.id);
            self.told.1.push(row.seq);
            self.told.2.push(body.get());
        }
    }

    fn push_end(&mut self, id: Uuid, end: &'a End, definition: Option<i32>) {
        self.ended.0.push(id);
        self.ended.1.push(end.status.as_str());
        self.ended.2.push(end.result.as_ref().map(Json::get));
        self.ended.3.push(definition);
    }

    fn params<'b>(&'b self, lane: &'b i64) -> [&'b (dyn tokio_postgres::types::ToSql + Sync); 26] {
        [
            lane,
            &self.rows.0,
            &self.rows.1,
            &self.rows.2,
            &self.rows.3,
            &self.keyed.0,
            &self.keyed.1,
            &self.keyed.2,
            &self.keyed.3,
            &self.keyed.4,
            &self.created.0,
            &self.created.1,
            &self.created.2,
            &self.changed.0,
            &self.changed.1,
            &self.ended.0,
            &self.ended.1,
            &self.ended.2,
            &self.ended.3,
            &self.answered.0,
            &self.answered.1,
            &self.answered.2,
            &self.answered.3,
            &self.told.0,
            &self.told.1,
            &self.told.2,
        ]
    }
}
