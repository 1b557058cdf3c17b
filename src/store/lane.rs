//! A lane: one dedicated connection and the number under which it owns sagas. Owns the connection, its
//! prepared statements and the sorting of failures into what may be sent again; what is sent is `commit.rs`
//! and `work.rs`.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row, Statement};

use super::error::{Remedy, remedy};
use super::pool::Params;
use super::work::Watermarks;
use super::{Error, NodeId, PostgresConfig};
use crate::boundary;
use crate::config::store as limits;

/// Number of a lane: the fencing token. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub i64);

/// One committing connection. It survives the loss of its connection, but not being taken out of service:
/// then every call answers [`Error::Fenced`], for ever. The same when it meets a promoted standby: rows that
/// were acknowledged may be gone there, so that everything must be loaded afresh by a new lane.
pub struct Lane {
    id: LaneId,
    node: NodeId,
    config: PostgresConfig,
    session: Option<Session>,
    timeline: Option<String>,
    pub(super) watermarks: Watermarks,
    /// A claim is under way, or its answer was lost: the lane may own sagas that nobody here knows of.
    pub(super) has_strays: bool,
}

/// The statements of a lane.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verb {
    /// The batch, if none of its rows is there yet; otherwise nothing, and an error that says so.
    CommitNew,
    /// The batch, whatever of it is there already.
    Commit,
    Resolve,
    Live,
    Claim,
    Park,
    Release,
    Owned,
}

/// What lets a row of the journal in only once. It costs a look before each row and a confirmation after it, so a
/// batch that nobody has sent before goes without: then a row that is there is an error, and the batch is sent again
/// with it.
const ONCE: &str = "    on conflict (id, seq) do nothing\n";

pub(super) const COMMIT: &str = include_str!("../../sql/queries/transition/commit.sql");

/// In the order of [`Verb`], without the first.
const TEXTS: [&str; 7] = [
    COMMIT,
    include_str!("../../sql/queries/transition/resolve.sql"),
    include_str!("../../sql/queries/lane/live.sql"),
    include_str!("../../sql/queries/saga/claim.sql"),
    include_str!("../../sql/queries/saga/park.sql"),
    include_str!("../../sql/queries/saga/release.sql"),
    include_str!("../../sql/queries/saga/owned.sql"),
];

/// In the order of [`Verb`]: where a process can die before and after each.
const BOUNDARIES: [[&str; 2]; 8] = [
    ["new commit: sending", "new commit: answered"],
    ["commit: sending", "commit: answered"],
    ["resolve: sending", "resolve: answered"],
    ["live: sending", "live: answered"],
    ["claim: sending", "claim: answered"],
    ["park: sending", "park: answered"],
    ["release: sending", "release: answered"],
    ["owned: sending", "owned: answered"],
];

/// A live connection.
struct Session {
    client: Client,
    task: JoinHandle<()>,
    /// In the order of [`Verb`].
    statements: Vec<Statement>,
    /// None where the server does not tell.
    timeline: Option<String>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A statement that failed, and what may be done about it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) remedy: Remedy,
    pub(super) error: Error,
}

impl Failure {
    /// Whether a row that should be new is there already.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(&self.error, Error::Rejected { code, .. } if code == SqlState::UNIQUE_VIOLATION.code())
    }

    pub(super) fn fenced() -> Self {
        Self { remedy: Remedy::GiveUp, error: Error::Fenced }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self { remedy: remedy(&error), error: error.into() }
    }
}

impl Lane {
    /// Opens a lane of a node. [`Error::Fenced`] when the node is out of service.
    pub async fn open(config: &PostgresConfig, node: NodeId) -> Result<Self, Error> {
        let session = Session::open(config).await.map_err(|failure| failure.error)?;
        let row = session
            .client
            .query_opt(include_str!("../../sql/queries/lane/open.sql"), &[&node.0])
            .await?
            .ok_or(Error::Fenced)?;
        boundary::pass("lane: opened");
        Ok(Self {
            id: LaneId(row.try_get("id")?),
            node,
            config: config.clone(),
            timeline: session.timeline.clone(),
            session: Some(session),
            watermarks: Watermarks::default(),
            has_strays: false,
        })
    }

    /// Returns the lane's number.
    pub fn id(&self) -> LaneId {
        self.id
    }

    /// Returns the node it belongs to.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Sends one statement, connecting first if there is no connection. A failure after which the connection
    /// is not to be trusted drops it. No answer within the limit counts as a lost connection: the outcome is
    /// unknown, not a failure.
    pub(super) async fn send(&mut self, verb: Verb, params: Params<'_>) -> Result<Vec<Row>, Failure> {
        let session = match self.session.take().filter(|session| !session.client.is_closed()) {
            Some(session) => session,
            None => self.reopen().await?,
        };
        let statement = &session.statements[verb as usize];
        let [sending, answered] = BOUNDARIES[verb as usize];
        boundary::pass(sending);
        let wait = Duration::from_millis(limits::ANSWER_TIMEOUT_MS);
        let answer = tokio::time::timeout(wait, session.client.query(statement, params)).await;
        let failure = match answer {
            Ok(Ok(_)) if boundary::is_answer_lost() => Failure {
                remedy: Remedy::Reconnect,
                error: Error::Unavailable("the answer is lost, as the test says".to_owned()),
            },
            Ok(Ok(rows)) => {
                boundary::pass(answered);
                self.session = Some(session);
                return Ok(rows);
            }
            Ok(Err(error)) => Failure::from(error),
            Err(_) => Failure {
                remedy: Remedy::Reconnect,
                error: Error::Unavailable(format!("no answer within {} ms", limits::ANSWER_TIMEOUT_MS)),
            },
        };
        if failure.remedy != Remedy::Reconnect {
            self.session = Some(session);
        }
        Err(failure)
    }

    async fn reopen(&self) -> Result<Session, Failure> {
        let session = Session::open(&self.config).await?;
        match (&self.timeline, &session.timeline) {
            (Some(known), Some(found)) if known != found => Err(Failure::fenced()),
            (Some(_), None) => Err(Failure {
                remedy: Remedy::Reconnect,
                error: Error::Unavailable("the server is in recovery".to_owned()),
            }),
            (Some(_), Some(_)) | (None, _) => Ok(session),
        }
    }

    /// Sends a statement that comes to the same when sent twice, with pauses, until it is answered or enough
    /// is enough.
    pub(super) async fn send_until_answered(
        &mut self,
        verb: Verb,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let mut sends = Sends::default();
        loop {
            match self.send(verb, params).await {
                Err(failure) if sends.may_repeat(&failure) => sends.pause().await,
                answer => return answer,
            }
        }
    }

    /// Fails with [`Error::Fenced`] unless the lane is live.
    pub(super) async fn check_live(&mut self) -> Result<(), Failure> {
        let id = self.id.0;
        let rows = self.send(Verb::Live, &[&id]).await?;
        if rows.is_empty() { Err(Failure::fenced()) } else { Ok(()) }
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("id", &self.id.0).field("node", &self.node.0).finish_non_exhaustive()
    }
}

impl Session {
    async fn open(config: &PostgresConfig) -> Result<Self, Failure> {
        let wait = Duration::from_millis(limits::ANSWER_TIMEOUT_MS);
        let opened = tokio::time::timeout(wait, Self::prepare(config)).await;
        opened.unwrap_or_else(|_| {
            Err(Failure {
                remedy: Remedy::Reconnect,
                error: Error::Unavailable(format!("no connection within {} ms", limits::ANSWER_TIMEOUT_MS)),
            })
        })
    }

    async fn prepare(config: &PostgresConfig) -> Result<Self, Failure> {
        let (client, task) = config.open().await.map_err(|error| Failure {
            remedy: if matches!(error, Error::Unavailable(_)) { Remedy::Reconnect } else { Remedy::GiveUp },
            error,
        })?;
        let mut session = Self { client, task, statements: Vec::new(), timeline: None };
        let timeline =
            session.client.query_one(include_str!("../../sql/queries/lane/timeline.sql"), &[]).await;
        session.timeline = timeline.and_then(|row| row.try_get("timeline")).ok();
        let new = COMMIT.replacen(ONCE, "", 1);
        let texts = std::iter::once(new.as_str()).chain(TEXTS);
        session.statements = try_join_all(texts.map(|text| session.client.prepare(text))).await?;
        Ok(session)
    }
}

/// How often something was sent, and the pause before it is sent again.
#[derive(Debug, Default)]
pub(super) struct Sends {
    repeats: u32,
}

impl Sends {
    /// Whether a failed statement may be sent once more.
    pub(super) fn may_repeat(&self, failure: &Failure) -> bool {
        match failure.remedy {
            Remedy::Reconnect | Remedy::Repeat => self.repeats + 1 < limits::COMMIT_SENDS_MAX,
            Remedy::Split | Remedy::GiveUp => false,
        }
    }

    /// Waits, each time twice as long.
    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(Duration::from_millis(limits::COMMIT_PAUSE_MS << self.repeats)).await;
        self.repeats += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_can_do_without_its_look_for_conflicts() {
        assert_eq!(COMMIT.matches(ONCE).count(), 1);
        assert!(
            COMMIT.contains("on conflict (name, key) do nothing"),
            "keys of starts are always looked for"
        );
    }
}
