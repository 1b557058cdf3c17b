//! Sessions of transactional handlers. Owns opening a session, arming it for one transaction, cleaning it afterwards,
//! and reading what the server reports of the transaction. `step_transaction.rs` writes the transaction's row.
//!
//! Two settings tell what became of a transaction, because the server reports each change of them by itself. The
//! report needs no question. It comes while an unread result blocks the connection, and it can be read after the
//! connection is lost.
//!
//! - `default_transaction_read_only` is off only in the transaction. It is on again when the transaction has failed or
//!   ended. The same setting then refuses later writes, since each later statement is a transaction of its own.
//! - `application_name` is set in the transaction for the whole session. Only a commit keeps the new value.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Connection, SimpleQueryMessage, Statement};

use super::batch_statement::COMMIT;
use super::error::{READ_ONLY, chain};
use super::statement::Sql;
use super::{Error, PostgresConfig};
use crate::config::store as limits;
use crate::saga::definition::Millis;

pub(super) const SEAL: Sql = sql!("step_transaction", "seal");

/// Setting that tells whether the transaction has failed or ended.
const OVER: &str = "default_transaction_read_only";

/// Setting that tells whether a transaction that is over was committed.
const KEPT: &str = "application_name";

/// Prepares a session for a transaction. The answer tells if an operator has set the database to read-only. The
/// session is at least as durable as the local disk, like those of lanes.
///
/// The session has the application's search path, where an operator or a function of another login may be the better
/// match. So each name here is qualified.
const ARM: &str = "reset default_transaction_read_only; \
                   select pg_catalog.current_setting('default_transaction_read_only'), \
                          pg_catalog.set_config('synchronous_commit', \
                                     case when pg_catalog.current_setting('synchronous_commit') \
                                                   operator(pg_catalog.=) 'off'::pg_catalog.text \
                                          then 'on' else pg_catalog.current_setting('synchronous_commit') end, \
                                     false); \
                   set default_transaction_read_only = on";

/// Runs the handler's deferred constraints under the handler's own settings. Then resets the session's role, leaves
/// the names of Postgres alone in the search path for the statements of amends that follow, and tells which
/// transaction the session is in.
const CHECK: &str = "set constraints all immediate; set local session authorization default; set local role none; \
                     set local search_path = pg_catalog, pg_temp; \
                     select coalesce(pg_catalog.current_setting('amends.call', true), '')";

/// Removes what a handler may have left in its session, and tells whether a prepared statement is left.
const CLEAN: &str = "rollback; close all; set session authorization default; reset all; unlisten *; \
                     select pg_catalog.pg_advisory_unlock_all(); discard temp; discard sequences; \
                     select exists (select from pg_catalog.pg_prepared_statements where from_sql)";

/// One session.
pub(super) struct Session {
    pub(super) client: Arc<Client>,
    pub(super) seal: Statement,
    pub(super) commit: Statement,
    task: JoinHandle<()>,
    asks: mpsc::UnboundedSender<oneshot::Sender<Said>>,
}

/// What the server has reported of the transaction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    /// It has failed or ended.
    pub(super) over: bool,
    /// It was committed.
    pub(super) committed: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        // A client that the handler kept stops working.
        self.task.abort();
    }
}

impl Session {
    pub(super) async fn open(config: &PostgresConfig) -> Result<Self, Error> {
        let (client, connection) = config.driver.connect(config.tls.clone()).await?;
        let (asks, asked) = mpsc::unbounded_channel();
        let task = tokio::spawn(watch(connection, asked));
        let prepared = async { tokio::try_join!(client.prepare(SEAL.text), client.prepare(COMMIT.text)) }.await;
        match prepared {
            Ok((seal, commit)) => Ok(Self { client: Arc::new(client), seal, commit, task, asks }),
            Err(error) => {
                task.abort();
                Err(error.into())
            }
        }
    }

    /// Begins a transaction; returns the session's `synchronous_commit`. Each statement, and each pause between two
    /// statements, lasts at most `time_ms` plus `IDLE_IN_TRANSACTION_TIMEOUT_MS`, so a node that stalls or dies holds
    /// no lock for longer.
    pub(super) async fn begin(&self, call: &str, time_ms: Millis) -> Result<String, Error> {
        let pause_ms = time_ms.saturating_add(limits::IDLE_IN_TRANSACTION_TIMEOUT_MS).min(i32::MAX as u64);
        let begin = format!(
            "begin read write; set local amends.call = '{}'; set local {OVER} = off; \
             set {KEPT} = 'amends: transactional step'; set local statement_timeout = {pause_ms}; \
             set local idle_in_transaction_session_timeout = {pause_ms}",
            call.replace('\'', "''"),
        );
        // Two messages: within one message, the arming would be the first query of the transaction.
        let (armed, ()) = tokio::try_join!(self.client.simple_query(ARM), self.client.batch_execute(&begin))?;
        match last_row(&armed) {
            Some([Some("off"), Some(durability)]) => Ok(durability.to_owned()),
            _ => Err(Error::Unavailable(READ_ONLY.to_owned())),
        }
    }

    /// Returns what the server has reported of the transaction. Asks the task that reads from the server, so this
    /// covers every report that came before the last answer that the handler has seen.
    pub(super) async fn said(&self) -> Said {
        let (ask, answer) = oneshot::channel();
        // The task lives as long as the session.
        if self.asks.send(ask).is_err() {
            return Said::default();
        }
        answer.await.unwrap_or_default()
    }

    /// Rolls back a failed transaction that the server does not report as over; returns whether the session is still
    /// armed. `true`: the transaction failed after a savepoint. `false`: the session was reset, and a reset survives
    /// the rollback only if it was committed before.
    pub(super) async fn is_armed(&self) -> bool {
        // A lost connection has rolled back.
        self.client.batch_execute("rollback").await.is_err() || self.said().await.over
    }

    /// Runs the handler's deferred constraints; returns whether the transaction is the one that was begun for the
    /// call.
    pub(super) async fn check(&self, call: &str) -> Result<bool, tokio_postgres::Error> {
        self.finds(CHECK, call).await
    }

    /// Returns whether the transaction is the one that was begun for the call.
    pub(super) async fn is_in(&self, call: &str) -> Result<bool, tokio_postgres::Error> {
        self.finds("select coalesce(pg_catalog.current_setting('amends.call', true), '')", call).await
    }

    async fn finds(&self, question: &str, call: &str) -> Result<bool, tokio_postgres::Error> {
        let answer = self.client.simple_query(question).await?;
        Ok(last_row(&answer).is_some_and(|[found]| found == Some(call)))
    }

    /// Cleans the session; returns whether it is as new. It is not if the handler kept the client or left a prepared
    /// statement; the caller then closes it.
    pub(super) async fn clean(&self) -> bool {
        if Arc::strong_count(&self.client) > 1 {
            return false;
        }
        match self.client.simple_query(CLEAN).await {
            Ok(answer) => last_row(&answer).is_some_and(|[left]| left == Some("f")),
            Err(_) => false,
        }
    }

    /// Cancels the statement that the server still runs, so that its locks go with the connection.
    pub(super) async fn cancel(&self, config: &PostgresConfig) {
        let wait = Duration::from_millis(limits::CONNECT_TIMEOUT_MS);
        let cancel = self.client.cancel_token();
        if let Ok(Err(error)) = tokio::time::timeout(wait, cancel.cancel_query(config.tls.clone())).await {
            tracing::debug!(error = %chain(&error), "could not cancel a transactional handler's last statement");
        }
    }
}

/// Returns the last row of an answer, as texts.
fn last_row<const N: usize>(answer: &[SimpleQueryMessage]) -> Option<[Option<&str>; N]> {
    answer.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(std::array::from_fn(|column| row.get(column))),
        _ => None,
    })
}

/// Serves a connection and answers what the server has reported, even after the connection's end.
async fn watch<S, T>(mut connection: Connection<S, T>, mut asked: mpsc::UnboundedReceiver<oneshot::Sender<Said>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let name = connection.parameter(KEPT).map(str::to_owned);
    let said = |connection: &Connection<S, T>| {
        let over = connection.parameter(OVER) == Some("on");
        Said { over, committed: over && connection.parameter(KEPT) != name.as_deref() }
    };
    loop {
        tokio::select! {
            biased;
            message = poll_fn(|context| connection.poll_message(context)) => match message {
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    tracing::debug!(error = %chain(&error), "database connection closed");
                    break;
                }
                None => break,
            },
            Some(ask) = asked.recv() => {
                // The asker may be gone.
                let _ = ask.send(said(&connection));
            }
        }
    }
    let last = said(&connection);
    drop(connection);
    while let Some(ask) = asked.recv().await {
        let _ = ask.send(last);
    }
}
