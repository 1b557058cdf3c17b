//! A handler's transaction, in which the row of its success is written and committed. Owns the fence, the order of
//! its ends, and finding out what became of a commit whose answer was lost; its session is `session.rs`, the handler's
//! effect is its own.
//!
//! The row is written by the statement of the batches, so everything that holds for a batch holds for it: the
//! lane's row is locked until the transaction ends, a dead lane lets nothing in, and the journal's key lets
//! one row in. Nothing is committed before a `COMMIT` is sent, so a connection that is lost until then had no
//! effect. Afterwards, whoever gets the lane's lock knows that the transaction has ended, and the journal
//! tells how.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;

use super::batch_columns::Columns;
use super::error::{Remedy, remedy};
use super::pool::Params;
use super::session::{SEAL, Session};
use super::{Error, LaneId, PostgresConfig, Store, Transition, Written};
use crate::boundary;
use crate::config::store as limits;
use crate::place::Place;
use crate::saga::definition::Millis;
use crate::step_transaction::{self, Heard, Transaction};

/// An open transaction, for one call. Dropped, its connection is closed, and the server rolls back.
pub struct Within {
    session: Session,
    call: String,
    /// How durable the session is without the handler's doing.
    durability: String,
    heard: Arc<Heard>,
    place: Place,
}

/// A transaction was rolled back, or ended by its handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolledBack {
    /// Why, as a word; [`step_transaction::ENDED`] if the handler ended it, so that nobody knows what was committed.
    /// With every other it had no effect.
    pub code: &'static str,
    /// Why, for people.
    pub message: String,
    /// Whether another attempt is any use.
    pub retryable: bool,
    /// Whether it is known that the handler has not ended the transaction, or that it has.
    pub known: bool,
}

impl RolledBack {
    fn again(message: impl Into<String>) -> Self {
        Self { code: NOT_COMMITTED, message: message.into(), retryable: true, known: true }
    }

    /// The session does not say whether the handler has ended the transaction.
    fn unknown() -> Self {
        let message = "the handler's connection did not answer in time; a result may be left unread";
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

/// Code of what was rolled back though its handler had succeeded.
const NOT_COMMITTED: &str = "not_committed";

impl Within {
    /// The transaction, for the handler.
    pub fn transaction(&self) -> Transaction {
        Transaction::lend(&self.session.client, &self.heard)
    }

    /// Fails if the handler has ended the transaction, or tried to, or if the session does not say; not if the
    /// transaction has failed.
    async fn check_open(&self, config: &PostgresConfig) -> Result<(), RolledBack> {
        if self.heard.is_refused() {
            return Err(RolledBack::ended(true));
        }
        // What the server says by itself can be silenced: a session that was reset says nothing. One whose transaction
        // has failed answers nothing any more; after one that was ended, it answers from another.
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
        // Asked last, so that it knows of everything that was answered before.
        let said = self.session.said().await;
        let open = match found {
            _ if said.committed => false,
            Some(Ok(open)) => open,
            Some(Err(error)) => match error.code() {
                Some(&SqlState::QUERY_CANCELED) => return Err(RolledBack::unknown()),
                Some(code) if !said.over && step_transaction::has_failed(code) => {
                    timeout(wait, self.session.is_armed()).await.map_err(|_| RolledBack::unknown())?
                }
                // It has failed, or the connection is lost.
                Some(_) | None => true,
            },
            None => return Err(RolledBack::unknown()),
        };
        open.then_some(()).ok_or_else(|| RolledBack::ended(false))
    }

    /// What the failure of a transaction comes to that its handler did not pass on: the same as if it had.
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

    /// Prepares the transaction for its row and writes it: whether the row before it is there, and whether it was let
    /// in. One round trip.
    async fn write(&self, lane: LaneId, row: &Transition) -> Result<[bool; 2], RolledBack> {
        let text = |limit: u64| limit.to_string();
        let (lock, run, pause) = (
            text(limits::LOCK_TIMEOUT_MS),
            text(limits::STATEMENT_TIMEOUT_MS),
            text(limits::IDLE_IN_TRANSACTION_TIMEOUT_MS),
        );
        let before = row.seq - 1;
        let seal: Params<'_> = &[&row.id, &before, &lock, &run, &pause, &self.durability];
        let (columns, Session { client, seal: sealing, commit, .. }) = (Columns::of(&[row]), &self.session);
        SEAL.sending();
        boundary::pass("transactional: sending");
        let params = columns.params(&lane.0);
        // In this order: what seals is answered before what writes runs.
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
    /// open, and while the database cannot be reached, however long that takes; dropping the future ends the wait.
    /// Fails only with what waiting cannot change.
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

    /// A session with a transaction: one that is idle, unless it was lost meanwhile, or a new one.
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

    /// Settles a transaction whose handler has succeeded: what its constraints have put off runs, and nothing of it is
    /// in use any more. Until then, at the latest, or the transaction is given up.
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
            None => RolledBack::again("what the handler has put off was not done within the time of the attempt"),
        };
        self.recycle(within);
        Err(why)
    }

    /// Ends a transaction without effect, and waits for the end of it until then at the latest: it comes in any
    /// case. Fails if the handler has ended the transaction by itself, or if the session does not say.
    pub async fn roll_back(&self, within: Within, until: impl Future<Output = ()>) -> Result<(), RolledBack> {
        let mut until = pin!(until);
        // What the handler sent without waiting for it is answered first, if it is answered in time.
        let in_time = before(until.as_mut(), within.session.client.check_connection()).await.is_some();
        let open = within.check_open(self.config()).await;
        let gone = self.recycle(within);
        if in_time {
            before(until, gone).await;
        }
        open
    }

    /// Rolls back what is open, and keeps the session for others if it comes back clean. If it does not, or does not
    /// answer, it is closed, which comes to the same. The place is free only then; the answer says so.
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
            // Mostly nobody waits for it.
            let _ = done.send(());
        });
        is_done
    }

    /// Writes a row for a lane in a handler's transaction that was settled, and commits it. Returns when it is known
    /// what became of both, however long that takes: [`Written::Accepted`], or [`Written::Refused`] if the lane is
    /// dead or another row has this place in the journal. In that case and in every other, nothing is left of the
    /// transaction.
    pub async fn commit_within(&self, within: Within, lane: LaneId, row: &Transition) -> Result<Written, RolledBack> {
        // Rows of a promoted standby that lacks the ones before are written by nobody.
        if within.write(lane, row).await? != [true, true] {
            // It is gone before another writes in its place.
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

/// Does something until then at the latest; none if it was not done.
async fn before<T>(until: impl Future<Output = ()> + Unpin, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), until).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(((), _)) => None,
    }
}
