//! Transactions of transactional handlers. The row of the handler's success is written and committed in the handler's
//! own transaction. Owns the fence, the ways in which such a transaction ends, and finding out what became of a
//! commit whose answer was lost. `session.rs` owns the session; the effect is the handler's.
//!
//! The statement of the batches writes the row, so the rules of a batch hold: the lane's row is locked until the
//! transaction ends, a dead lane lets nothing in, and the journal's key lets one row in. Nothing is committed before
//! `COMMIT` is sent, so a connection that is lost earlier had no effect. If it is lost later, the lane's lock becomes
//! free when the transaction has ended, and the journal tells how it ended.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;

use super::batch_columns::Columns;
use super::error::{Remedy, remedy};
use super::payload::Stored;
use super::pool::Params;
use super::session::{SEAL, Session};
use super::{Error, LaneId, PostgresConfig, Store, Transition, Written};
use crate::boundary;
use crate::config::store as limits;
use crate::place::Place;
use crate::saga::definition::Millis;
use crate::step_transaction::{self, Heard, Transaction};

/// An open transaction for one call. Dropping it closes its connection, and the server rolls back.
pub struct Within {
    session: Session,
    call: String,
    /// The `synchronous_commit` of the session before the handler ran.
    durability: String,
    heard: Arc<Heard>,
    place: Place,
}

/// A transaction that was rolled back, or that its handler ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolledBack {
    /// Reason, as a word. With [`step_transaction::ENDED`] the handler ended the transaction, and it is unknown what
    /// was committed. With every other code there was no effect, if `known`.
    pub code: &'static str,
    /// Reason, for people.
    pub message: String,
    /// Whether another attempt can help.
    pub retryable: bool,
    /// Whether the session told if the handler ended the transaction.
    pub known: bool,
}

impl RolledBack {
    fn again(message: impl Into<String>) -> Self {
        Self { code: NOT_COMMITTED, message: message.into(), retryable: true, known: true }
    }

    /// The session does not tell whether the handler ended the transaction.
    fn unknown() -> Self {
        let message = "the handler's connection did not answer in time; the handler may have left a result unread";
        Self { known: false, ..Self::again(message) }
    }

    /// The handler ended the transaction, or tried to.
    fn ended(refused: bool) -> Self {
        let message = match refused {
            true => "the handler tried to end its transaction, which was refused",
            false => "the handler ended its transaction by itself; what it committed stays",
        };
        Self { code: step_transaction::ENDED, message: message.to_owned(), retryable: false, known: true }
    }
}

impl From<tokio_postgres::Error> for RolledBack {
    fn from(error: tokio_postgres::Error) -> Self {
        let retryable = !error.code().is_some_and(step_transaction::is_definite_code);
        Self { retryable, ..Self::again(Error::from(error).to_string()) }
    }
}

/// Code of a transaction that was rolled back though its handler succeeded.
const NOT_COMMITTED: &str = "not_committed";

impl Within {
    /// Returns the transaction, for the handler.
    pub fn transaction(&self) -> Transaction {
        Transaction::lend(&self.session.client, &self.heard)
    }

    /// Fails if the handler ended the transaction or tried to, or if the session does not tell. A failed transaction
    /// passes.
    async fn check_open(&self, config: &PostgresConfig) -> Result<(), RolledBack> {
        if self.heard.is_refused() {
            return Err(RolledBack::ended(true));
        }
        // The server's own reports can be silenced: a session that was reset reports nothing. So the session is also
        // asked which transaction it is in. In a failed transaction it answers with an error only. After the call's
        // transaction has ended, it answers from another one.
        let wait = Duration::from_millis(limits::LAST_LOOK_MS);
        let mut found = timeout(wait, self.session.is_in(&self.call)).await.ok();
        if found.is_none() {
            // A statement still runs.
            let wait = Duration::from_millis(limits::CANCELLED_LOOK_MS);
            let cancelled = async {
                self.session.cancel(config).await;
                self.session.is_in(&self.call).await
            };
            found = timeout(wait, cancelled).await.ok();
        }
        // Asked last, so that it covers everything that was answered before.
        let said = self.session.said().await;
        let open = match found {
            _ if said.committed => false,
            Some(Ok(open)) => open,
            Some(Err(error)) => match error.code() {
                Some(&SqlState::QUERY_CANCELED) => return Err(RolledBack::unknown()),
                Some(code) if !said.over && step_transaction::has_failed(code) => {
                    timeout(wait, self.session.is_armed()).await.map_err(|_| RolledBack::unknown())?
                }
                // The transaction has failed, or the connection is lost.
                Some(_) | None => true,
            },
            None => return Err(RolledBack::unknown()),
        };
        open.then_some(()).ok_or_else(|| RolledBack::ended(false))
    }

    /// Returns the failure of a transaction whose handler ignored an error: the same failure as if it had passed the
    /// error on.
    fn failed(&self, error: tokio_postgres::Error) -> RolledBack {
        let aftermath = error.code().is_some_and(step_transaction::has_failed);
        match self.heard.cause().filter(|_| aftermath) {
            Some(cause) => {
                let message = format!("the handler went on after an error of its transaction: {}", cause.message);
                RolledBack { retryable: !cause.definite, ..RolledBack::again(message) }
            }
            None => error.into(),
        }
    }

    /// Prepares the transaction for its row and writes the row, in one round trip. Returns whether the row before it
    /// is there, and whether the row was let in.
    async fn write(&self, lane: LaneId, row: &Transition) -> Result<[bool; 2], RolledBack> {
        let text = |limit: u64| limit.to_string();
        let (lock, run, pause) = (
            text(limits::LOCK_TIMEOUT_MS),
            text(limits::STATEMENT_TIMEOUT_MS),
            text(limits::IDLE_IN_TRANSACTION_TIMEOUT_MS),
        );
        let before = row.seq - 1;
        let seal: Params<'_> = &[&row.id, &before, &lock, &run, &pause, &self.durability];
        let (columns, Session { client, seal: sealing, commit, .. }) = (Columns::from_rows(&[row]), &self.session);
        SEAL.sending();
        boundary::pass("transactional: sending");
        let params = columns.params(&lane.0);
        // The order counts: the server answers the seal before it runs the write.
        let written = async { tokio::try_join!(client.query(sealing, seal), client.query(commit, &params)) };
        let wait = Duration::from_millis(limits::ANSWER_TIMEOUT_MS);
        let (sealed, written) = match timeout(wait, written).await {
            Ok(answer) => answer?,
            Err(_) => {
                return Err(RolledBack::again(format!("no answer within {} ms", limits::ANSWER_TIMEOUT_MS)));
            }
        };
        SEAL.answered();
        boundary::pass("transactional: answered");
        let follows = sealed.first().is_some_and(|row| row.try_get("follows").unwrap_or(false));
        Ok([follows, !written.is_empty()])
    }
}

impl std::fmt::Debug for Within {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Within").field("call", &self.call).finish_non_exhaustive()
    }
}

impl Store {
    /// Begins a transaction for a call that takes up to `time_ms` milliseconds. Waits while `TRANSACTIONS_MAX` are
    /// open and while the database cannot be reached, however long that takes; dropping the future ends the wait.
    /// Fails only with errors that waiting cannot change.
    pub async fn begin_within(&self, call: &str, time_ms: Millis) -> Result<Within, Error> {
        let place = self.within().places.take().await;
        let mut pause = Duration::from_millis(limits::BEGIN_PAUSE_MS);
        loop {
            match self.session(call, time_ms).await {
                Ok((session, durability)) => {
                    boundary::pass("transactional: begun");
                    let heard = Arc::default();
                    return Ok(Within { session, call: call.to_owned(), durability, heard, place });
                }
                Err(error @ (Error::Unavailable(_) | Error::Busy(_))) => {
                    tracing::warn!(%error, call, "no connection for a transactional step yet");
                }
                Err(error) => return Err(error),
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(limits::BEGIN_PAUSE_MAX_MS));
        }
    }

    /// Returns a session with an open transaction: an idle session, or a new one if there is none or it was lost.
    async fn session(&self, call: &str, time_ms: Millis) -> Result<(Session, String), Error> {
        let wait = Duration::from_millis(limits::ANSWER_TIMEOUT_MS);
        if let Some(session) = self.within().take().filter(|session| !session.client.is_closed())
            && let Ok(Ok(durability)) = timeout(wait, session.begin(call, time_ms)).await
        {
            return Ok((session, durability));
        }
        let opened = timeout(wait, async {
            let session = Session::open(self.config()).await?;
            let durability = session.begin(call, time_ms).await?;
            Ok((session, durability))
        });
        let late = |_| Error::Unavailable(format!("no answer within {} ms", limits::ANSWER_TIMEOUT_MS));
        opened.await.map_err(late)?
    }

    /// Settles a transaction whose handler succeeded: runs its deferred constraints, and checks that the handler kept
    /// no part of it. Gives the transaction up if the constraints are not done when `until` completes.
    pub async fn settle(&self, within: Within, until: impl Future<Output = ()>) -> Result<Within, RolledBack> {
        let checked = before(pin!(until), within.session.check(&within.call)).await;
        let open = match checked {
            Some(Ok(true)) if !within.heard.is_refused() => Ok(()),
            _ => within.check_open(self.config()).await,
        };
        if let Err(why) = open {
            self.recycle(within);
            return Err(why);
        }
        if Arc::strong_count(&within.session.client) > 1 {
            let message = "the handler kept its transaction beyond its end".to_owned();
            return Err(RolledBack { code: step_transaction::KEPT, retryable: false, ..RolledBack::again(message) });
        }
        let why = match checked {
            Some(Ok(true)) => return Ok(within),
            Some(Ok(false)) => RolledBack::ended(false),
            Some(Err(error)) => within.failed(error),
            None => RolledBack::again("the handler's deferred constraints ran beyond the time of the attempt"),
        };
        self.recycle(within);
        Err(why)
    }

    /// Ends a transaction without effect. Waits for the end until `until` completes; the end comes in any case. Fails
    /// if the handler ended the transaction itself, or if the session does not tell.
    pub async fn roll_back(&self, within: Within, until: impl Future<Output = ()>) -> Result<(), RolledBack> {
        let mut until = pin!(until);
        // Statements that the handler sent without waiting are answered first, if they are answered in time.
        let in_time = before(until.as_mut(), within.session.client.check_connection()).await.is_some();
        let open = within.check_open(self.config()).await;
        let gone = self.recycle(within);
        if in_time {
            before(until, gone).await;
        }
        open
    }

    /// Rolls back the open transaction, and keeps the session for later calls if it comes back clean. If it does not,
    /// or does not answer, the session is closed, which rolls back as well. Only then is the place free; the receiver
    /// tells when.
    fn recycle(&self, within: Within) -> oneshot::Receiver<()> {
        let (done, is_done) = oneshot::channel();
        let store = self.clone();
        tokio::spawn(async move {
            let Within { session, place, .. } = within;
            let wait = Duration::from_millis(limits::RECYCLE_MS);
            match timeout(wait, session.clean()).await {
                Ok(true) => store.within().put(session),
                Ok(false) => drop(session),
                Err(_) => session.cancel(store.config()).await,
            }
            drop(place);
            // Most callers do not wait for it.
            let _ = done.send(());
        });
        is_done
    }

    /// Writes a row for a lane in a handler's settled transaction, and commits it. Returns once it is known what
    /// became of both, however long that takes: [`Written::Accepted`], or [`Written::Refused`] if the lane is dead,
    /// another row has this place in the journal, or the row before it is missing. Unless the row was accepted,
    /// nothing is left of the transaction.
    pub async fn commit_within(&self, within: Within, lane: LaneId, row: &Transition) -> Result<Written, RolledBack> {
        // A promoted standby may lack the row before this one; then no node may write this row there.
        if within.write(lane, row).await? != [true, true] {
            // The transaction is gone before another lane writes in its place.
            let _ = self.recycle(within).await;
            return Ok(Written::Refused);
        }
        boundary::pass("transactional: committing");
        let wait = Duration::from_millis(limits::ANSWER_TIMEOUT_MS);
        match timeout(wait, within.session.client.batch_execute("commit")).await {
            Ok(Ok(())) if !boundary::is_answer_lost() => {
                boundary::pass("transactional: committed");
                self.recycle(within);
                Ok(Written::Accepted)
            }
            Ok(Err(error)) if remedy(&error) != Remedy::Reconnect => Err(error.into()),
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
                    boundary::pass("transactional: looked up");
                    let lost = || RolledBack::again("the connection was lost before the commit");
                    return if is_written { Ok(Written::Accepted) } else { Err(lost()) };
                }
                Err(error) => tracing::warn!(%error, "cannot tell yet whether a transaction was committed; retrying"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(limits::COMMIT_LOOK_MAX_MS));
        }
    }

    /// Returns whether the lane's row is in the journal, once every transaction that holds the lane has ended.
    async fn is_written(&self, lane: LaneId, row: &Transition) -> Result<bool, Error> {
        self.query(sql!("lane", "live"), &[&lane.0]).await?;
        let sql = sql!("transition", "resolve");
        let (ids, seqs, bodies) = (vec![row.id], vec![row.seq], vec![Stored::of_json(&row.body)]);
        let definitions: Vec<Option<i32>> = vec![None];
        let keys: Vec<Option<&str>> = vec![None];
        let found = self.query(sql, &[&ids, &seqs, &bodies, &definitions, &keys, &keys]).await?;
        let Some(found) = found.first() else { return Ok(false) };
        let (by, same): (Option<i64>, Option<bool>) = (found.try_get("lane")?, found.try_get("same_body")?);
        Ok(by == Some(lane.0) && same == Some(true))
    }
}

/// Runs `work` until `until` completes; returns none if the work was not done by then.
async fn before<T>(until: impl Future<Output = ()> + Unpin, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), until).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(((), _)) => None,
    }
}
