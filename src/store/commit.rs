//! The batch: transitions of many sagas in one fenced autocommit statement. Owns its shapes, sending it until
//! its outcome is known, and telling whose row won; gathering batches is left to the actors.
//!
//! Sending a batch again is safe: the journal's key lets each row in once, everything else hangs on the rows
//! that were let in, and the journal says whose row is there. That holds because a saga has at most one row
//! under way.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;
use uuid::Uuid;

use super::batch_columns::Columns;
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
    /// The status when it or `attention` has changed; ends do not need it.
    pub status: Option<Status>,
    /// Together with `status`: the steps in doubt or stuck as JSON, for people; none when nothing is.
    pub attention: Option<Json>,
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
    pub(super) key: String,
    pub(super) input: Json,
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

    /// Returns the key's text.
    pub fn as_str(&self) -> &str {
        &self.key
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
    /// Somebody's open transaction holds the saga's row or the key. Nothing was written: send the same row
    /// again after a while.
    Busy,
    /// The database cannot take this row, now or later: a defect. Nothing was written.
    Rejected {
        /// The database's words.
        message: String,
    },
}

impl Lane {
    /// Writes a batch and returns what became of each transition, in their order. One commit, unless
    /// somebody's open transaction is in the way: then the rest does not wait for it.
    ///
    /// [`Error::Fenced`]: the lane is dead, nothing was written. [`Error::Unavailable`]: the outcome is
    /// unknown; call again with *the same* transitions, and with no other row of these sagas, until it is
    /// known. Do not drop the future and take that for a failure. At most one transition of each saga, at
    /// most `BATCH_ROWS_MAX` of them.
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
        let columns = Columns::of(rows);
        let accepted = match self.send_batch(&columns, false).await {
            Err(failure) if failure.is_conflict() => self.send_batch(&columns, true).await?,
            answer => answer?,
        };
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
        let ids: Vec<Uuid> = missing.iter().map(|row| row.id).collect();
        let seqs: Vec<i32> = missing.iter().map(|row| row.seq).collect();
        let definitions: Vec<Option<i32>> =
            missing.iter().map(|row| row.start.as_ref().map(|start| start.definition.0)).collect();
        let keys: Vec<Option<&str>> =
            missing.iter().map(|row| row.key().map(|key| key.key.as_str())).collect();
        let inputs: Vec<Option<&str>> =
            missing.iter().map(|row| row.key().map(|key| key.input.get())).collect();
        let bodies: Vec<&str> = missing.iter().map(|row| row.body.get()).collect();
        let found = self.send(Verb::Resolve, &[&ids, &seqs, &bodies, &definitions, &keys, &inputs]).await?;
        let mut verdicts = HashMap::with_capacity(found.len());
        for row in &found {
            verdicts.insert(row.try_get::<_, Uuid>("id")?, self.verdict(row)?);
        }
        Ok(ids.iter().map(|id| verdicts.remove(id).unwrap_or(Written::Refused)).collect())
    }

    fn verdict(&self, row: &Row) -> Result<Written, Failure> {
        let lane: Option<i64> = row.try_get("lane")?;
        let same_body: Option<bool> = row.try_get("same_body")?;
        let first: Option<Uuid> = row.try_get("first")?;
        let same_input: Option<bool> = row.try_get("same_input")?;
        Ok(match (lane, first) {
            // An earlier send of this very row was committed, only its answer was lost.
            (Some(lane), _) if lane == self.id().0 && same_body == Some(true) => Written::Accepted,
            (Some(lane), _) if lane == self.id().0 => {
                Written::Rejected { message: "this lane wrote another row to the same place".to_owned() }
            }
            (Some(_), _) => Written::Refused,
            (None, Some(existing)) if same_input == Some(true) => Written::Duplicate { existing },
            (None, Some(existing)) => Written::KeyConflict { existing },
            // The key is gone again between the two statements.
            (None, None) => Written::Busy,
        })
    }

    /// Writes a batch that as a whole ran into a lock or a rejection: what can wait for nobody in one commit,
    /// the rest row by row, so that one saga holds up no other for long.
    async fn write_apart(&mut self, rows: &[&Transition]) -> Result<Vec<Written>, Failure> {
        self.check_live().await.map_err(|failure| match failure.remedy {
            Remedy::Split => {
                Failure { remedy: Remedy::Split, error: Error::Unavailable("the lane is locked".to_owned()) }
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
        Self {
            id,
            seq,
            kind,
            body,
            start: None,
            status: None,
            attention: None,
            end: None,
            signal: None,
            outbox: None,
        }
    }

    /// Whether somebody else's transaction could hold what the row needs.
    fn may_wait(&self) -> bool {
        self.end.is_some() || self.status.is_some() || self.key().is_some()
    }

    /// The idempotency key of a start.
    pub(super) fn key(&self) -> Option<&StartKey> {
        self.start.as_ref().and_then(|start| start.key.as_ref())
    }
}
