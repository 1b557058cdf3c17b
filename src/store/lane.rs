//! A lane: one dedicated connection, and the number under which it owns sagas. Owns the connection, its prepared
//! statements, and sorting failures by what may be sent again. `commit.rs` and `claim.rs` decide what is sent.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row, Statement};

use super::batch_columns::{self, Columns};
use super::batch_statement::{COMMIT, Shape, without_conflicts};
use super::error::{READ_ONLY, Remedy, chain, remedy};
use super::pool::Params;
use super::statement::Sql;
use super::watermarks::Watermarks;
use super::{Error, NodeId, PostgresConfig, Store};
use crate::boundary;
use crate::config::store as limits;

/// Number of a lane: the fencing token. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub i64);

/// One committing connection. It survives the loss of its connection, but not being taken out of service: then every
/// call returns [`Error::Fenced`], for ever. The same happens when it meets a promoted standby: acknowledged rows may
/// be missing there, so a new lane must load everything again.
pub struct Lane {
    id: LaneId,
    node: NodeId,
    config: PostgresConfig,
    session: Option<Session>,
    used_at: Instant,
    timeline: Option<String>,
    pub(super) watermarks: Watermarks,
    /// A claim is under way, or its answer was lost: the lane may own sagas that this process does not know of.
    pub(super) has_strays: bool,
    /// The last claim took starts before ready rows of normal priority.
    pub(super) starts_first: bool,
}

/// The statements of a lane besides its batches.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verb {
    /// Claims; fails if row 1 of a started saga exists already.
    ClaimNew,
    /// Claims, even if row 1 of a started saga exists already.
    Claim,
    TakeStarts,
    ForgetStarts,
    Resolve,
    Live,
    Park,
    Release,
    Owned,
}

const CLAIM: Sql = sql!("saga", "claim");

/// In the order of [`Verb`].
const STATEMENTS: [Sql; 9] = [
    CLAIM,
    CLAIM,
    sql!("start_queue", "take"),
    sql!("start_queue", "forget"),
    sql!("transition", "resolve"),
    sql!("lane", "live"),
    sql!("saga", "park"),
    sql!("saga", "release"),
    sql!("saga", "owned"),
];

const OPEN: Sql = sql!("lane", "open");
const TIMELINE: Sql = sql!("lane", "timeline");

/// A live connection.
struct Session {
    client: Client,
    task: JoinHandle<()>,
    /// In the order of [`Verb`].
    statements: Vec<Statement>,
    /// By shape, and by whether rows may exist already; prepared when first needed.
    batches: HashMap<(Shape, bool), Statement>,
    /// None if the server is in recovery.
    timeline: Option<String>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A failed statement, and what may be done about it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) remedy: Remedy,
    pub(super) error: Error,
}

impl Failure {
    /// Returns whether a row that should be new exists already.
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
    /// Opens a lane of a node, and its connection. [`Error::Fenced`] if the node is out of service.
    pub async fn open(config: &PostgresConfig, node: NodeId) -> Result<Self, Error> {
        let session = Session::open(config).await.map_err(|failure| failure.error)?;
        let id = enlist(&session.client, node).await?;
        let timeline = session.timeline.clone();
        Ok(Self::new(id, node, config.clone(), timeline, Some(session), Watermarks::default()))
    }

    /// Opens a lane of a node by a connection of the pool. The lane connects when it first sends something. It shares
    /// `watermarks` with others.
    pub async fn register(store: &Store, node: NodeId, watermarks: Watermarks) -> Result<Self, Error> {
        // Both on one connection: the lane's row and the timeline are of the same server.
        let client = store.client().await?;
        let timeline = timeline(&client).await;
        let id = enlist(&client, node).await?;
        Ok(Self::new(id, node, store.config().clone(), timeline, None, watermarks))
    }

    fn new(
        id: LaneId,
        node: NodeId,
        config: PostgresConfig,
        timeline: Option<String>,
        session: Option<Session>,
        watermarks: Watermarks,
    ) -> Self {
        Self {
            id,
            node,
            config,
            session,
            used_at: Instant::now(),
            timeline,
            watermarks,
            has_strays: false,
            starts_first: false,
        }
    }

    /// Closes the connection if nothing was sent for `CONNECTION_IDLE_MS`. The next statement connects again.
    pub fn close_idle(&mut self) {
        if self.used_at.elapsed() >= Duration::from_millis(limits::CONNECTION_IDLE_MS) {
            self.session = None;
        }
    }

    /// Returns the lane's number.
    pub fn id(&self) -> LaneId {
        self.id
    }

    /// Returns the lane's node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Sends one statement; connects first if there is no connection.
    pub(super) async fn send(&mut self, verb: Verb, params: Params<'_>) -> Result<Vec<Row>, Failure> {
        let session = self.session().await?;
        let statement = session.statements[verb as usize].clone();
        self.exchange(session, &statement, STATEMENTS[verb as usize], params).await
    }

    /// Sends a batch. `again`: rows of it may exist already; otherwise a row that exists is an error.
    pub(super) async fn send_batch(&mut self, columns: &Columns<'_>, again: bool) -> Result<Vec<Row>, Failure> {
        let mut session = self.session().await?;
        let statement = in_time(session.batch(columns.shape(), again)).await?;
        let id = self.id.0;
        if again {
            boundary::pass("commit again: sending");
        }
        let answer = self.exchange(session, &statement, COMMIT, &columns.params(&id)).await;
        if again && answer.is_ok() {
            boundary::pass("commit again: answered");
        }
        answer
    }

    async fn session(&mut self) -> Result<Session, Failure> {
        match self.session.take().filter(|session| !session.client.is_closed()) {
            Some(session) => Ok(session),
            None => self.reopen().await,
        }
    }

    /// Sends a statement and waits for its answer. Drops the connection after a failure that makes it untrustworthy.
    /// No answer within the limit counts as a lost connection: the outcome is unknown, not a failure.
    async fn exchange(
        &mut self,
        session: Session,
        statement: &Statement,
        sql: Sql,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Failure> {
        sql.sending();
        let answer = in_time(async { Ok(session.client.query(statement, params).await?) }).await;
        self.used_at = Instant::now();
        let failure = match answer {
            Ok(_) if boundary::is_answer_lost() => Failure {
                remedy: Remedy::Reconnect,
                error: Error::Unavailable("the answer is lost, as the test says".to_owned()),
            },
            Ok(rows) => {
                sql.answered();
                self.session = Some(session);
                return Ok(rows);
            }
            Err(failure) => failure,
        };
        if failure.remedy != Remedy::Reconnect {
            self.session = Some(session);
        }
        Err(failure)
    }

    async fn reopen(&self) -> Result<Session, Failure> {
        // Whatever refuses the connection says nothing of the statement that waits for it.
        let session = Session::open(&self.config).await.map_err(|failure| Failure {
            remedy: Remedy::Reconnect,
            error: Error::Unavailable(format!("cannot connect: {}", chain(&failure.error))),
        })?;
        match (&self.timeline, &session.timeline) {
            (Some(known), Some(found)) if known != found => Err(Failure::fenced()),
            (Some(_), None) => Err(Failure {
                remedy: Remedy::Reconnect,
                error: Error::Unavailable(format!("the server is in recovery; {READ_ONLY}")),
            }),
            (Some(_), Some(_)) | (None, _) => Ok(session),
        }
    }

    /// Sends a statement until it is answered, with pauses, `COMMIT_SENDS_MAX` times at most. Sending it twice must
    /// have the same effect as once.
    pub(super) async fn send_until_answered(&mut self, verb: Verb, params: Params<'_>) -> Result<Vec<Row>, Failure> {
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
        in_time(Self::prepare(config)).await
    }

    async fn prepare(config: &PostgresConfig) -> Result<Self, Failure> {
        let (client, task) = config.open().await.map_err(|error| Failure {
            remedy: if matches!(error, Error::Unavailable(_)) { Remedy::Reconnect } else { Remedy::GiveUp },
            error,
        })?;
        let mut session = Self { client, task, statements: Vec::new(), batches: HashMap::new(), timeline: None };
        session.timeline = timeline(&session.client).await;
        let new = without_conflicts(CLAIM.text);
        let texts = std::iter::once(new.as_str()).chain(STATEMENTS[1..].iter().map(|sql| sql.text));
        session.statements = try_join_all(texts.map(|text| session.client.prepare(text))).await?;
        Ok(session)
    }

    async fn batch(&mut self, shape: Shape, again: bool) -> Result<Statement, Failure> {
        if let Some(statement) = self.batches.get(&(shape, again)) {
            return Ok(statement.clone());
        }
        // The parameters of omitted parts are sent too, so their types must be given.
        let statement = self.client.prepare_typed(&shape.statement(again), &batch_columns::TYPES).await?;
        self.batches.insert((shape, again), statement.clone());
        Ok(statement)
    }
}

/// Creates the row of a lane. [`Error::Fenced`] if the node is out of service.
async fn enlist(client: &Client, node: NodeId) -> Result<LaneId, Error> {
    OPEN.sending();
    let row = client.query_opt(OPEN.text, &[&node.0]).await?.ok_or(Error::Fenced)?;
    OPEN.answered();
    Ok(LaneId(row.try_get("id")?))
}

/// Reads the timeline that the server writes. None if it is in recovery.
async fn timeline(client: &Client) -> Option<String> {
    TIMELINE.sending();
    let timeline = client.query_one(TIMELINE.text, &[]).await;
    TIMELINE.answered();
    timeline.and_then(|row| row.try_get("timeline")).ok()
}

/// Waits for the database at most `ANSWER_TIMEOUT_MS`.
async fn in_time<T>(asked: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let wait = Duration::from_millis(limits::ANSWER_TIMEOUT_MS);
    tokio::time::timeout(wait, asked).await.unwrap_or_else(|_| {
        Err(Failure {
            remedy: Remedy::Reconnect,
            error: Error::Unavailable(format!("no answer within {} ms", limits::ANSWER_TIMEOUT_MS)),
        })
    })
}

/// Counts how often something was sent, and sets the pause before the next send.
#[derive(Debug, Default)]
pub(super) struct Sends {
    repeats: u32,
}

impl Sends {
    /// Returns whether a failed statement may be sent once more.
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
