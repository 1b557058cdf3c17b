//! A handler's transaction, in which the row of its success is written and committed. Owns its connection,
//! the fence, and finding out what became of a commit whose answer was lost; the handler's effect is its own.
//!
//! The row is written by the statement of the batches, so everything that holds for a batch holds for it: the
//! lane's row is locked until the transaction ends, a dead lane lets nothing in, and the journal's key lets
//! one row in. Nothing is committed before a `COMMIT` is sent, so a connection that is lost until then had no
//! effect. Afterwards, whoever gets the lane's lock knows that the transaction has ended, and the journal
//! tells how.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Row, Statement};

use super::columns::Columns;
use super::error::{Remedy, chain, remedy};
use super::pool::Params;
use super::shape::COMMIT;
use super::statement::Sql;
use super::{Error, LaneId, PostgresConfig, Store, Transition, Written};
use crate::boundary;
use crate::config::store as limits;
use crate::saga::definition::Millis;
use crate::transaction::Transaction;

const SEAL: Sql = sql!("transaction", "seal");

/// Forgets what the last handler may have left in its session.
const CLEAN: &str = "close all; set session authorization default; reset all; unlisten *; \
                     select pg_advisory_unlock_all(); discard temp; discard sequences; ";

/// An open transaction, for one call. Dropped, its connection is closed, and the server rolls back.
pub struct Within {
    connection: Connection,
    call: String,
    _permit: OwnedSemaphorePermit,
}

/// A transaction was rolled back for certain: it had no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolledBack {
    /// Why, as a word.
    pub code: &'static str,
    /// Why, for people.
    pub message: String,
    /// Whether another attempt is any use.
    pub retryable: bool,
}

impl RolledBack {
    fn again(message: impl Into<String>) -> Self {
        Self { code: "not_committed", message: message.into(), retryable: true }
    }
}

/// Connections for transactions: those that are idle, and how many there may be.
pub(super) struct Idle {
    connections: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Default for Idle {
    fn default() -> Self {
        Self { connections: Mutex::default(), permits: Arc::new(Semaphore::new(limits::TRANSACTIONS_MAX)) }
    }
}

impl Idle {
    fn take(&self) -> Option<Connection> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, connection: Connection) {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

struct Connection {
    client: Arc<Client>,
    task: JoinHandle<()>,
    seal: Statement,
    commit: Statement,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Whoever has kept the client cannot use it any more.
        self.task.abort();
    }
}

impl Connection {
    async fn open(config: &PostgresConfig) -> Result<Self, Error> {
        let (client, task) = config.dial().await?;
        let prepared =
            async { tokio::try_join!(client.prepare(SEAL.text), client.prepare(COMMIT.text)) }.await;
        match prepared {
            Ok((seal, commit)) => Ok(Self { client: Arc::new(client), task, seal, commit }),
            Err(error) => {
                task.abort();
                Err(error.into())
            }
        }
    }

    /// Begins a transaction. A node that stands still, or is gone, holds its locks no longer than the call
    /// may take.
    async fn begin(&self, call: &str, time_ms: Millis) -> Result<(), tokio_postgres::Error> {
        let pause_ms = time_ms.saturating_add(limits::IDLE_IN_TRANSACTION_TIMEOUT_MS).min(i32::MAX as u64);
        let begin = format!(
            "begin; set local amends.call = '{}'; set local statement_timeout = {pause_ms}; \
             set local idle_in_transaction_session_timeout = {pause_ms}",
            call.replace('\'', "''"),
        );
        // Two messages, or what cleans would be the first query of the transaction.
        tokio::try_join!(self.client.batch_execute(CLEAN), self.client.batch_execute(&begin)).map(|_| ())
    }

    async fn query(&self, statement: &Statement, params: Params<'_>) -> Result<Vec<Row>, RolledBack> {
        let wait = Duration::from_millis(limits::ANSWER_TIMEOUT_MS);
        match tokio::time::timeout(wait, self.client.query(statement, params)).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => Err(RolledBack::again(Error::from(error).to_string())),
            Err(_) => Err(RolledBack::again(format!("no answer within {} ms", limits::ANSWER_TIMEOUT_MS))),
        }
    }
}

impl Within {
    /// The transaction, for the handler.
    pub fn transaction(&self) -> Transaction {
        Transaction::lend(&self.connection.client)
    }

    /// Whether the transaction is ours alone again, and still the one that was begun; and whether the row
    /// before the new one is there.
    async fn seal(&self, row: &Transition) -> Result<bool, RolledBack> {
        let broken = |message: &str| RolledBack {
            code: "handler_broke_transaction",
            message: message.to_owned(),
            retryable: false,
        };
        if Arc::strong_count(&self.connection.client) > 1 {
            return Err(broken("the handler kept its transaction beyond its end"));
        }
        let before = row.seq - 1;
        let text = |limit: u64| limit.to_string();
        let (lock, run, pause) = (
            text(limits::LOCK_TIMEOUT_MS),
            text(limits::STATEMENT_TIMEOUT_MS),
            text(limits::IDLE_IN_TRANSACTION_TIMEOUT_MS),
        );
        let params: Params<'_> = &[&self.call, &row.id, &before, &lock, &run, &pause];
        SEAL.sending();
        let rows = self.connection.query(&self.connection.seal, params).await?;
        SEAL.answered();
        let flag = |name: &str| rows.first().is_some_and(|row| row.try_get(name).unwrap_or(false));
        if !flag("same") {
            return Err(broken("the handler ended its transaction by itself; what it committed stays"));
        }
        Ok(flag("follows"))
    }
}

impl std::fmt::Debug for Within {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Within").field("call", &self.call).finish_non_exhaustive()
    }
}

impl Store {
    /// Begins a transaction for a call that takes up to `time_ms` milliseconds; waits while
    /// `TRANSACTIONS_MAX` are open.
    pub async fn begin_within(&self, call: &str, time_ms: Millis) -> Result<Within, Error> {
        let permits = self.within().permits.clone();
        let permit = permits.acquire_owned().await.map_err(|error| Error::Unavailable(chain(&error)))?;
        // One that has lain idle may be lost by now.
        let idle = self.within().take().filter(|connection| !connection.client.is_closed());
        let connection = match idle {
            Some(connection) if connection.begin(call, time_ms).await.is_ok() => connection,
            Some(_) | None => {
                let connection = Connection::open(self.config()).await?;
                connection.begin(call, time_ms).await?;
                connection
            }
        };
        boundary::pass("within: begun");
        Ok(Within { connection, call: call.to_owned(), _permit: permit })
    }

    /// Ends a transaction without effect.
    pub async fn roll_back(&self, within: Within) {
        let Within { connection, _permit, .. } = within;
        let wait = Duration::from_millis(limits::ANSWER_TIMEOUT_MS);
        // If it cannot be said, the connection is closed, which comes to the same.
        if let Ok(Ok(())) = tokio::time::timeout(wait, connection.client.batch_execute("rollback")).await {
            self.within().put(connection);
        }
    }

    /// Writes a row for a lane in a handler's transaction and commits it. Returns when it is known what
    /// became of both, however long that takes: [`Written::Accepted`], or [`Written::Refused`] if the lane is
    /// dead or somebody else wrote this place of the journal. In that case and in every other, nothing is
    /// left of the transaction.
    pub async fn commit_within(
        &self,
        within: Within,
        lane: LaneId,
        row: &Transition,
    ) -> Result<Written, RolledBack> {
        // Rows of a promoted standby that lacks the ones before are written by nobody.
        if !within.seal(row).await? {
            return Ok(Written::Refused);
        }
        let columns = Columns::of(&[row]);
        boundary::pass("within: sending");
        let written = within.connection.query(&within.connection.commit, &columns.params(&lane.0)).await?;
        boundary::pass("within: answered");
        if written.is_empty() {
            self.roll_back(within).await;
            return Ok(Written::Refused);
        }
        boundary::pass("within: committing");
        let wait = Duration::from_millis(limits::ANSWER_TIMEOUT_MS);
        let answer = tokio::time::timeout(wait, within.connection.client.batch_execute("commit")).await;
        match answer {
            Ok(Ok(())) if !boundary::is_answer_lost() => {
                boundary::pass("within: committed");
                self.within().put(within.connection);
                Ok(Written::Accepted)
            }
            Ok(Err(error)) if remedy(&error) != Remedy::Reconnect => {
                Err(RolledBack::again(Error::from(error).to_string()))
            }
            Ok(_) | Err(_) => {
                drop(within);
                self.look_up(lane, row).await
            }
        }
    }

    /// Finds out what became of a transaction whose commit was sent and not answered.
    async fn look_up(&self, lane: LaneId, row: &Transition) -> Result<Written, RolledBack> {
        let mut pause = Duration::from_millis(limits::COMMIT_LOOK_MS);
        loop {
            match self.is_written(lane, row).await {
                Ok(is_written) => {
                    boundary::pass("within: looked up");
                    let lost = || RolledBack::again("the connection was lost before the commit");
                    return if is_written { Ok(Written::Accepted) } else { Err(lost()) };
                }
                Err(error) => tracing::warn!(%error, "not known yet whether a transaction was committed"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(limits::COMMIT_LOOK_MAX_MS));
        }
    }

    /// Whether a lane's row is in the journal, after every transaction that holds the lane has ended.
    async fn is_written(&self, lane: LaneId, row: &Transition) -> Result<bool, Error> {
        self.query(sql!("lane", "live"), &[&lane.0]).await?;
        let sql = sql!("transition", "resolve");
        let (ids, seqs, bodies) = (vec![row.id], vec![row.seq], vec![row.body.get()]);
        let definitions: Vec<Option<i32>> = vec![None];
        let keys: Vec<Option<&str>> = vec![None];
        let found = self.query(sql, &[&ids, &seqs, &bodies, &definitions, &keys, &keys]).await?;
        let Some(found) = found.first() else { return Ok(false) };
        let (by, same): (Option<i64>, Option<bool>) = (found.try_get("lane")?, found.try_get("same_body")?);
        Ok(by == Some(lane.0) && same == Some(true))
    }
}
