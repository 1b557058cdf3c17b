//! The batch: transitions of many sagas in one fenced autocommit statement. Owns sending a batch until its outcome is
//! known, and finding out which rows were let in. The actors gather batches.
//!
//! Sending a batch again is safe: the journal's key lets each row in once, every other write depends on the rows that
//! were let in, and the journal tells which row is there. This holds because a saga has at most one row under way.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;
use uuid::Uuid;

use super::Error;
use super::batch_columns::Columns;
use super::error::Remedy;
use super::lane::{Failure, Lane, Sends, Verb};
use super::payload::Stored;
use super::transition::{Transition, Written};
use crate::config::store as limits;

impl Lane {
    /// Writes a batch; returns what became of each transition, in their order. It is one commit, unless another open
    /// transaction is in the way: then the rest does not wait for that transaction.
    ///
    /// [`Error::Fenced`]: the lane is dead and takes no more rows. An earlier send whose answer was lost may have
    /// written the batch. [`Error::Unavailable`]: the outcome is unknown. Call again with *the same* transitions, and
    /// with no other row of these sagas, until it is known. Do not drop the future and take that for a failure.
    ///
    /// A batch holds at most one transition of each saga, and at most `BATCH_ROWS_MAX` transitions.
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

    /// Writes rows that are ordered by id.
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

    /// Sends the batch once, or twice if one of its rows exists already. Looks up the rows that were not let in.
    async fn write(&mut self, rows: &[&Transition]) -> Result<Vec<Written>, Failure> {
        let columns = Columns::from_rows(rows);
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
        let missing: Vec<&Transition> = rows.iter().copied().filter(|row| !accepted.contains(&row.id)).collect();
        let mut resolved = self.resolve(&missing).await?.into_iter();
        Ok(rows
            .iter()
            .map(|row| match accepted.contains(&row.id) {
                true => Written::Accepted,
                false => resolved.next().unwrap_or(Written::Refused),
            })
            .collect())
    }

    /// Finds out, for each row that was not let in, which row is in its place, or which saga used its key.
    async fn resolve(&mut self, missing: &[&Transition]) -> Result<Vec<Written>, Failure> {
        let ids: Vec<Uuid> = missing.iter().map(|row| row.id).collect();
        let seqs: Vec<i32> = missing.iter().map(|row| row.seq).collect();
        let definitions: Vec<Option<i32>> =
            missing.iter().map(|row| row.start.as_ref().map(|start| start.definition.0)).collect();
        let keys: Vec<Option<&str>> = missing.iter().map(|row| row.key().map(|key| key.key.as_str())).collect();
        let inputs: Vec<Option<Stored<'_>>> =
            missing.iter().map(|row| row.key().map(|key| Stored::of_json(&key.input))).collect();
        let bodies: Vec<Stored<'_>> = missing.iter().map(|row| Stored::of_json(&row.body)).collect();
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
            // An earlier send of this row was committed; only its answer was lost.
            (Some(lane), _) if lane == self.id().0 && same_body == Some(true) => Written::Accepted,
            (Some(lane), _) if lane == self.id().0 => {
                Written::Rejected { message: "this lane wrote another row to the same place".to_owned() }
            }
            (Some(_), _) => Written::Refused,
            (None, Some(existing)) if same_input == Some(true) => Written::Duplicate { existing },
            (None, Some(existing)) => Written::KeyConflict { existing },
            // The key disappeared between the two statements.
            (None, None) => Written::Busy,
        })
    }

    /// Writes a batch that as a whole met a lock or a rejection. Rows that need no foreign lock go in one commit, the
    /// others one by one, so that a locked saga delays the rest only briefly. After `BUSY_ROWS_MAX` locked rows, the
    /// remaining ones are called busy without a try.
    async fn write_apart(&mut self, rows: &[&Transition]) -> Result<Vec<Written>, Failure> {
        self.check_live().await.map_err(|failure| match failure.remedy {
            Remedy::Split => {
                Failure { remedy: Remedy::Split, error: Error::Unavailable("the lane is locked".to_owned()) }
            }
            Remedy::Reconnect | Remedy::Repeat | Remedy::GiveUp => failure,
        })?;
        let (waiting, free): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(|&index| rows[index].may_wait());
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
