//! Sessions in which handlers make their effects. Owns how a session is opened, armed for one transaction and cleaned
//! after it, and what the server says of the transaction; the transaction's row is written by `step_transaction.rs`.
//!
//! Two settings tell what became of a transaction, since the server reports each change of them by itself: without a
//! question, after the connection is lost, and while a result that was not read blocks it.
//! `default_transaction_read_only` is off in the transaction alone, so it is on again when the transaction has failed
//! or ended; what is written after that end, each statement a transaction of its own, is refused by the same setting.
//! `application_name` is set in the transaction for the whole session: a commit keeps it, and nothing else does.

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

/// Tells that a transaction has failed or ended.
const OVER: &str = "default_transaction_read_only";

/// Tells, then, that it was committed.
const KEPT: &str = "application_name";

/// Makes a session ready for a transaction. A database that an operator has set to read-only says so here, and the
/// session is never less durable than the local disk, as those of lanes.
const ARM: &str = "reset default_transaction_read_only; \
                   select current_setting('default_transaction_read_only'), \
                          set_config('synchronous_commit', \
                                     case current_setting('synchronous_commit') \
                                          when 'off' then 'on' else current_setting('synchronous_commit') end, \
                                     false); \
                   set default_transaction_read_only = on";

/// Runs what the handler's constraints have put off, under the handler's own settings; then makes the session's role
/// and names its own again, and says which transaction it is in.
const CHECK: &str = "set constraints all immediate; set local session authorization default; set local role none; \
                     set local search_path to default; select coalesce(current_setting('amends.call', true), '')";

/// Forgets what a handler may have left in its session, and says whether a prepared statement stays behind.
const CLEAN: &str = "rollback; close all; set session authorization default; reset all; unlisten *; \
                     select pg_advisory_unlock_all(); discard temp; discard sequences; \
                     select exists (select from pg_catalog.pg_prepared_statements where from_sql)";

/// One session.
pub(super) struct Session {
    pub(super) client: Arc<Client>,
    pub(super) seal: Statement,
    pub(super) commit: Statement,
    task: JoinHandle<()>,
    asks: mpsc::UnboundedSender<oneshot::Sender<Said>>,
}

/// What the server has said of the transaction by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    /// It has failed or ended.
    pub(super) over: bool,
    /// It was committed.
    pub(super) committed: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        // A client that was kept cannot be used any more.
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

    /// Begins a transaction; returns how durable the session is. A node that stands still, or is gone, holds its
    /// locks no longer than the call may take.
    pub(super) async fn begin(&self, call: &str, time_ms: Millis) -> Result<String, Error> {
        let pause_ms = time_ms.saturating_add(limits::IDLE_IN_TRANSACTION_TIMEOUT_MS).min(i32::MAX as u64);
        let begin = format!(
            "begin read write; set local amends.call = '{}'; set local {OVER} = off; \
             set {KEPT} = 'amends: transactional step'; set local statement_timeout = {pause_ms}; \
             set local idle_in_transaction_session_timeout = {pause_ms}",
            call.replace('\'', "''"),
        );
        // Two messages, or what arms would be the first query of the transaction.
        let (armed, ()) = tokio::try_join!(self.client.simple_query(ARM), self.client.batch_execute(&begin))?;
        match last_row(&armed) {
            Some([Some("off"), Some(durability)]) => Ok(durability.to_owned()),
            _ => Err(Error::Unavailable(READ_ONLY.to_owned())),
        }
    }

    /// What the server has said of the transaction. Asks the task that reads from the server, so everything is in it
    /// that was read before an answer which the handler has seen.
    pub(super) async fn said(&self) -> Said {
        let (ask, answer) = oneshot::channel();
        // The task lives as long as the session.
        if self.asks.send(ask).is_err() {
            return Said::default();
        }
        answer.await.unwrap_or_default()
    }

    /// Rolls back a failed transaction that the server does not report as over. It failed after a savepoint, or the session
    /// was reset: `false`, since only what was committed before can have been reset.
    pub(super) async fn is_armed(&self) -> bool {
        // A connection that is lost has rolled back.
        self.client.batch_execute("rollback").await.is_err() || self.said().await.over
    }

    /// Runs what the handler has put off; `false` if the transaction is not the one that was begun for the call.
    pub(super) async fn check(&self, call: &str) -> Result<bool, tokio_postgres::Error> {
        self.finds(CHECK, call).await
    }

    /// Whether the transaction is the one that was begun for the call.
    pub(super) async fn is_in(&self, call: &str) -> Result<bool, tokio_postgres::Error> {
        self.finds("select coalesce(current_setting('amends.call', true), '')", call).await
    }

    async fn finds(&self, question: &str, call: &str) -> Result<bool, tokio_postgres::Error> {
        let answer = self.client.simple_query(question).await?;
        Ok(last_row(&answer).is_some_and(|[found]| found == Some(call)))
    }

    /// Whether the session is as new, except that nothing is prepared. One that is not is thrown away.
    pub(super) async fn clean(&self) -> bool {
        if Arc::strong_count(&self.client) > 1 {
            return false;
        }
        match self.client.simple_query(CLEAN).await {
            Ok(answer) => last_row(&answer).is_some_and(|[left]| left == Some("f")),
            Err(_) => false,
        }
    }

    /// Ends the statement that the server still works on, so that its locks go with the connection.
    pub(super) async fn cancel(&self, config: &PostgresConfig) {
        let wait = Duration::from_millis(limits::CONNECT_TIMEOUT_MS);
        let cancel = self.client.cancel_token();
        if let Ok(Err(error)) = tokio::time::timeout(wait, cancel.cancel_query(config.tls.clone())).await {
            tracing::debug!(error = %chain(&error), "could not cancel what a transactional handler left running");
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

/// Serves a connection, and answers what the server has said: after the connection's end, too.
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
                // Who asks may have gone.
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
