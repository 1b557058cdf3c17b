//! Waiting for sagas, wherever they run. Owns the rhythm of looking: actors of this process tell of an end,
//! and the database is asked from time to time, since another node may run the saga.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Backend, Client, Ended, Error};
use crate::actor::LocalNode;
use crate::config::actor as limits;
use crate::saga::Json;
use crate::saga::state::Status;
use crate::store;

/// Longest time between two looks.
const PAUSE_MAX: Duration = Duration::from_millis(limits::WAIT_POLL_MAX_MS);
/// Shortest time between two looks.
const PAUSE_MIN: Duration = Duration::from_millis(limits::WAIT_POLL_MS);

/// Why a wait is over.
#[derive(Clone, Debug)]
pub enum WaitOutcome {
    /// The saga has ended.
    Ended(Ended),
    /// A step of it needs a person.
    Stuck,
    /// The time is up; the saga goes on.
    Unfinished,
}

/// A place to be told of an end, taken before the start, so that an end on this node is never missed. Given up
/// when it is dropped.
struct Expectation {
    saga: Uuid,
    /// None beside the database only.
    node: Option<LocalNode>,
    told: Option<oneshot::Receiver<Ended>>,
}

impl Drop for Expectation {
    fn drop(&mut self) {
        // Nobody may be forgotten who still listens.
        drop(self.told.take());
        if let Some(node) = &self.node {
            node.forget(self.saga);
        }
    }
}

impl Client {
    /// Starts a saga without a key and waits for its end.
    pub async fn run(&self, definition: &str, input: Json) -> Result<Ended, Error> {
        let id = self.fresh_id().await?;
        // Whoever waits before the start is told of the end without asking the database.
        let told = self.expect(id);
        let started = self.start(id, definition, input, None).await;
        match started {
            Ok(started) if started.id == id => self.wait_told(id, told).await,
            Ok(started) => self.wait(started.id).await,
            Err(error) => Err(error),
        }
    }

    /// Waits for a saga that was just started: its end is told, here or by the herald. Only who is not told, because
    /// there is no node here or it stops, looks for it.
    async fn wait_told(&self, saga: Uuid, mut told: Expectation) -> Result<Ended, Error> {
        if let Some(receiver) = &mut told.told
            && let Ok(ended) = receiver.await
        {
            return Ok(ended);
        }
        self.wait(saga).await
    }

    /// Waits for the end of a saga.
    pub async fn wait(&self, saga: Uuid) -> Result<Ended, Error> {
        let (client, told) = (self.clone(), self.expect(saga));
        self.on_work(async move {
            match client.look(saga, told, None, Status::is_end).await? {
                WaitOutcome::Ended(ended) => Ok(ended),
                WaitOutcome::Stuck | WaitOutcome::Unfinished => {
                    unreachable!("only an end ends a wait without a limit")
                }
            }
        })
        .await
    }

    /// Waits until a saga has ended or needs a person, for at most `limit`.
    pub async fn halt(&self, saga: Uuid, limit: Duration) -> Result<WaitOutcome, Error> {
        let (client, told) = (self.clone(), self.expect(saga));
        let halts = |status: Status| status.is_end() || status == Status::Stuck;
        self.on_work(async move { client.look(saga, told, Some(limit), halts).await }).await
    }

    /// Waits to be told, and looks from time to time, ever more seldom.
    async fn look(
        &self,
        saga: Uuid,
        mut expectation: Expectation,
        limit: Option<Duration>,
        halts: impl Fn(Status) -> bool,
    ) -> Result<WaitOutcome, Error> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let mut pause = Duration::ZERO;
        loop {
            let next = Instant::now() + pause;
            let until = deadline.map_or(next, |deadline| deadline.min(next));
            if let Some(ended) = hear(&mut expectation.told, until).await {
                return Ok(WaitOutcome::Ended(ended));
            }
            let row = self.inner.store.saga(saga).await?.ok_or(store::Error::UnknownSaga(saga))?;
            if row.status.is_end() {
                let result = row.result.unwrap_or_else(Json::null);
                return Ok(WaitOutcome::Ended(Ended { status: row.status, result }));
            }
            if halts(row.status) {
                return Ok(WaitOutcome::Stuck);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(WaitOutcome::Unfinished);
            }
            pause = (pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        }
    }

    /// Asks to be told of the end, if this process is the one that sees it.
    fn expect(&self, saga: Uuid) -> Expectation {
        let node = match &self.inner.backend {
            Backend::Node(node) => Some(node.clone()),
            Backend::Store { .. } => None,
        };
        let told = node.as_ref().map(|node| node.expect(saga));
        Expectation { saga, node, told }
    }
}

/// Waits to be told until then. Whoever dropped the sender says nothing; then time passes.
async fn hear(told: &mut Option<oneshot::Receiver<Ended>>, until: Instant) -> Option<Ended> {
    if let Some(receiver) = told {
        match tokio::time::timeout_at(until, receiver).await {
            Ok(Ok(ended)) => return Some(ended),
            Ok(Err(_)) => *told = None,
            Err(_) => return None,
        }
    }
    tokio::time::sleep_until(until).await;
    None
}
