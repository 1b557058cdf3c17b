//! Composes a node: the store, the participants, the definitions and the actors, on threads of its own,
//! behind a handle that any program can hold. Owns the order of starting and stopping; each room does the
//! rest.

mod builder;
mod crew;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::oneshot;
use uuid::{NoContext, Timestamp, Uuid};

use crate::actor::{Ended, Health, Node, Pinned, Roster, StartAnswer};
use crate::config::actor as limits;
use crate::saga::Json;
use crate::saga::event::Request;
use crate::store::{self, StartKey, Store};
pub use builder::Builder;
use crew::Threads;

/// Longest time between two looks for the end of a saga that another node may run.
const WAIT_POLL_MAX: Duration = Duration::from_millis(limits::WAIT_POLL_MAX_MS);

/// What can go wrong with a runtime, one variant for each thing that a caller does differently.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database: see the inner error.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A definition or a participant is wrong; all faults at once.
    #[error("{}", .0.join("\n"))]
    Faults(Vec<String>),
    /// The input does not fit the definition's schema; all faults at once. Nothing was started.
    #[error("the input does not fit the definition: {}", .0.join("; "))]
    Input(Vec<String>),
    /// The idempotency key was used before with another input.
    #[error("{0}; take another key")]
    KeyConflict(String),
    /// The connection was lost on the way: the saga may have started under this id, or not.
    #[error(
        "nobody knows whether saga {0} was started; look for it, and start with an idempotency key to repeat safely"
    )]
    StartUnknown(Uuid),
    /// The runtime was stopped.
    #[error("the runtime was stopped")]
    Stopped,
    /// The threads of the runtime cannot be made.
    #[error("threads: {0}")]
    Threads(std::io::Error),
}

/// A node in this process. Cheap to clone, and to be shared between threads; the node runs until
/// [`Runtime::stop`] or until the last handle is dropped.
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

struct Inner {
    node: Arc<Node>,
    roster: Roster,
    health: Health,
    stop: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
    _work: Threads,
}

impl Runtime {
    /// Begins to describe a node on this database: a connection string as libpq takes it.
    pub fn builder(database_url: impl Into<String>) -> Builder {
        Builder::new(database_url.into())
    }

    /// Starts a saga; returns its id when that is durable.
    pub async fn start(&self, definition: &str, input: &impl Serialize) -> Result<Uuid, Error> {
        self.start_saga(self.fresh_id(), definition, encode(input)?, None).await
    }

    /// Starts a saga under an idempotency key: the same key with the same input returns the first saga's id.
    pub async fn start_once(
        &self,
        definition: &str,
        input: &impl Serialize,
        key: &str,
    ) -> Result<Uuid, Error> {
        self.start_saga(self.fresh_id(), definition, encode(input)?, Some(key.to_owned())).await
    }

    /// Starts a saga and waits for its end.
    pub async fn run(&self, definition: &str, input: &impl Serialize) -> Result<Ended, Error> {
        let input = encode(input)?;
        let id = self.fresh_id();
        // Whoever waits before the start is told of the end without asking the database.
        let told = self.inner.node.waiters.expect(id);
        let started = self.start_saga(id, definition, input, None).await;
        if matches!(started, Ok(saga) if saga == id) {
            return self.wait_told(id, told, WAIT_POLL_MAX).await;
        }
        drop(told);
        self.inner.node.waiters.forget(id);
        self.wait(started?).await
    }

    /// Waits for the end of a saga, wherever it runs.
    pub async fn wait(&self, saga: Uuid) -> Result<Ended, Error> {
        let told = self.inner.node.waiters.expect(saga);
        self.wait_told(saga, told, Duration::ZERO).await
    }

    /// Waits to be told, and asks the database from time to time, since another node may run the saga.
    async fn wait_told(
        &self,
        saga: Uuid,
        mut told: oneshot::Receiver<Ended>,
        first_look: Duration,
    ) -> Result<Ended, Error> {
        let node = self.inner.node.clone();
        self.on_work(async move {
            let mut pause = first_look;
            loop {
                if let Ok(Ok(ended)) = tokio::time::timeout(pause, &mut told).await {
                    return Ok(ended);
                }
                if let Some((status, result)) = node.store.result(saga).await? {
                    node.waiters.forget(saga);
                    return Ok(Ended { status, result: result.unwrap_or_else(Json::null) });
                }
                pause = (pause * 2).clamp(Duration::from_millis(limits::WAIT_POLL_MS), WAIT_POLL_MAX);
            }
        })
        .await
    }

    /// Asks something of a saga, as an operator or a driver; returns the number of the signal.
    pub async fn signal(&self, saga: Uuid, request: Request) -> Result<u64, Error> {
        let (node, roster) = (self.inner.node.clone(), self.inner.roster.clone());
        self.on_work(async move {
            let n = node.store.signal(saga, &request).await?;
            roster.poke(saga);
            node.bell.ring_for_turns();
            Ok(n)
        })
        .await
    }

    /// The store, to look at sagas.
    pub fn store(&self) -> &Store {
        &self.inner.node.store
    }

    /// The node's name, for people.
    pub fn name(&self) -> &str {
        self.inner.node.membership.name()
    }

    /// Why the node does not work as it should, for people; empty when it does.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = self.inner.health.complaints();
        if !self.inner.node.clock.is_trusted() {
            complaints.push("no beat was confirmed of late: is the database reachable?".to_owned());
        }
        if !self.inner.roster.is_working() {
            complaints.push("no lane takes sagas".to_owned());
        }
        complaints
    }

    /// Definitions that this node cannot run, with what it lacks.
    pub fn unable(&self) -> Vec<(String, Vec<String>)> {
        self.inner.node.definitions.unable()
    }

    /// Stops the node in good order: takes no more, lets attempts end within `grace`, hands back the rest and
    /// says goodbye. Returns whether everything was handed back; what was not is taken over by others all the
    /// same.
    pub async fn stop(&self, grace: Duration) -> Result<bool, Error> {
        let (node, roster) = (self.inner.node.clone(), self.inner.roster.clone());
        let clean = self
            .on_work(async move {
                let clean = roster.drain(grace).await;
                let member = node.membership.id();
                node.store.leave(member).await?;
                node.store.sweep(member).await?;
                node.participants.shutdown().await;
                Ok(clean)
            })
            .await;
        let running = self.inner.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = running {
            // A thread that is gone already needs no word.
            let _ = stop.send(());
            // Joining may block for a moment, and not a thread that drives futures.
            let joined = self.inner.node.work.spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the actors' thread died");
            }
        }
        clean
    }

    async fn start_saga(
        &self,
        id: Uuid,
        name: &str,
        input: Json,
        key: Option<String>,
    ) -> Result<Uuid, Error> {
        let (node, roster, name) = (self.inner.node.clone(), self.inner.roster.clone(), name.to_owned());
        let known = node.definitions.current(&name);
        if let Some((pinned, _)) = &known {
            pinned.definition.check_input(&input).map_err(Error::Input)?;
        }
        match known {
            // The database says whose turn it is.
            Some((pinned, missing))
                if missing.is_empty() && pinned.definition.draft().concurrency.is_none() =>
            {
                let start_key = key.clone().map(|key| StartKey::new(key, input.clone())).transpose()?;
                match start_here(&roster, id, pinned, input.clone(), start_key).await? {
                    Some(saga) => Ok(saga),
                    None => self.start_queued(name, input, key).await,
                }
            }
            Some(_) | None => self.start_queued(name, input, key).await,
        }
    }

    /// A UUIDv7 by the database's clock, so that ids fall into the partitions that are there.
    fn fresh_id(&self) -> Uuid {
        let now_ms = self.inner.node.clock.now_ms();
        let nanos = u32::try_from(now_ms % 1_000).unwrap_or_default() * 1_000_000;
        Uuid::new_v7(Timestamp::from_unix(NoContext, now_ms / 1_000, nanos))
    }

    /// Starts through the queue, for whichever node takes it.
    async fn start_queued(&self, name: String, input: Json, key: Option<String>) -> Result<Uuid, Error> {
        let (node, roster) = (self.inner.node.clone(), self.inner.roster.clone());
        self.on_work(async move {
            let saga =
                node.store.start(&name, &input, key.as_deref()).await.map_err(|error| match error {
                    store::Error::KeyConflict(message) => Error::KeyConflict(message),
                    other => Error::Store(other),
                })?;
            node.bell.ring_for_turns();
            roster.look();
            Ok(saga)
        })
        .await
    }

    /// Runs a future where the drivers of the store find their runtime, whatever executor the caller is on.
    async fn on_work<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        self.inner.node.work.spawn(future).await.map_err(|_| Error::Stopped)?
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("node", &self.inner.node).finish_non_exhaustive()
    }
}

/// Starts on a lane of this node; none when no lane takes it.
async fn start_here(
    roster: &Roster,
    id: Uuid,
    pinned: Pinned,
    input: Json,
    key: Option<StartKey>,
) -> Result<Option<Uuid>, Error> {
    match roster.start(id, pinned, input, key).await {
        StartAnswer::Fresh(saga) | StartAnswer::Existing(saga) => Ok(Some(saga)),
        StartAnswer::KeyConflict(saga) => {
            Err(Error::KeyConflict(format!("the key was used before with another input, for saga {saga}")))
        }
        StartAnswer::Rejected(message) => {
            Err(Error::Store(store::Error::Rejected { code: "row".to_owned(), message }))
        }
        StartAnswer::NotTaken => Ok(None),
        StartAnswer::Unknown => Err(Error::StartUnknown(id)),
    }
}

fn encode(input: &impl Serialize) -> Result<Json, Error> {
    Json::encode(input).map_err(|error| Error::Input(vec![error.to_string()]))
}
