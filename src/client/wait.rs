//! Waits for sagas on any node. The actors of this process report the ends that they see. Another node may run the
//! saga, so the wait also polls the database.

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

/// Longest pause between two polls.
const PAUSE_MAX: Duration = Duration::from_millis(limits::WAIT_POLL_MAX_MS);
/// Shortest pause between two polls after the first.
const PAUSE_MIN: Duration = Duration::from_millis(limits::WAIT_POLL_MS);

/// Why a wait is over.
#[derive(Clone, Debug)]
pub enum WaitOutcome {
    /// The saga has ended.
    Ended(Ended),
    /// A step of the saga needs a person.
    Stuck,
    /// The time limit has passed, and the saga goes on.
    Unfinished,
}

/// A registration for the end of a saga. Registering before the start means that no end on this node is missed.
/// Dropping it cancels the registration.
struct Expectation {
    saga: Uuid,
    /// None if the client has no node.
    node: Option<LocalNode>,
    told: Option<oneshot::Receiver<Ended>>,
}

impl Drop for Expectation {
    fn drop(&mut self) {
        // `forget` removes only callers whose receiver is closed, so this one is closed first.
        drop(self.told.take());
        if let Some(node) = &self.node {
            node.forget(self.saga);
        }
    }
}

impl Client {
    /// Starts a saga without a key and waits for its end.
    pub async fn run(&self, definition: &str, input: Json) -> Result<Ended, Error> {
        let id = self.new_id(definition, &input, None, None).await?;
        // A registration before the start hears of the end without a poll of the database.
        let told = self.expect(id);
        let started = self.start(id, definition, input, None).await;
        match started {
            Ok(started) if started.id == id => self.wait_told(id, told).await,
            Ok(started) => self.wait(started.id).await,
            Err(error) => Err(error),
        }
    }

    /// Waits for a saga that was just started. Its end is reported by an actor of this process or by the completion
    /// poller. Polls the database only if the client has no node, or its node stops.
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

    /// Waits until a saga has ended or needs a person, at most for `limit`.
    pub async fn halt(&self, saga: Uuid, limit: Duration) -> Result<WaitOutcome, Error> {
        let (client, told) = (self.clone(), self.expect(saga));
        let halts = |status: Status| status.is_end() || status == Status::Stuck;
        self.on_work(async move { client.look(saga, told, Some(limit), halts).await }).await
    }

    /// Waits for a report of the end, and polls the database with growing pauses.
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

    /// Registers for the end of a saga, in case this process sees it.
    fn expect(&self, saga: Uuid) -> Expectation {
        let node = match &self.inner.backend {
            Backend::Node(node) => Some(node.clone()),
            Backend::Store { .. } => None,
        };
        let told = node.as_ref().map(|node| node.expect(saga));
        Expectation { saga, node, told }
    }
}

/// Waits for a report of the end until then. If the sender was dropped, no report comes and only the time passes.
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
