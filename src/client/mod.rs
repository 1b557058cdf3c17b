//! Client: starts sagas, waits for them, signals and inspects them. Owns the handle that all doors share. A client
//! works through the store alone, or beside the node of this process, which is faster. What a request does is decided
//! by the core.

mod inspect;
mod start;
mod wait;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::actor::{Definitions, LocalNode};
use crate::config::client as limits;
use crate::evaluation::shortly;
use crate::participant::{Handlers, Participants};
use crate::saga::Definition;
use crate::saga::definition::Millis;
use crate::saga::event::Request;
use crate::store::{self, Filter, Keyed, SagaRow, SignalFate, Store};

pub use crate::actor::Ended;
pub use inspect::Inspection;
pub use start::{Origin, Started};
pub use wait::WaitOutcome;

/// Why a request failed. Each variant calls for a different reaction of the caller.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed: see the inner error.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The input does not fit the schema of the definition, or the definition lacks what new sagas need. Holds all
    /// faults. Nothing was started.
    #[error("the start is refused: {}", .0.join("; "))]
    Input(Vec<String>),
    /// The idempotency key was used before with another input.
    #[error("{0}; use another key")]
    KeyConflict(String),
    /// The connection was lost during the start: the saga may or may not have started under this id.
    #[error(
        "it is unknown whether saga {0} was started; look for it, and use an idempotency key to repeat starts safely"
    )]
    StartUnknown(Uuid),
    /// This version of amends cannot read the journal of this saga, or must not: reading it crashed other processes.
    #[error("cannot read the journal of saga {0}: {1}")]
    Unreadable(Uuid, String),
    /// The runtime was stopped.
    #[error("the runtime was stopped")]
    Stopped,
}

/// Starts, signals and inspects sagas on any node. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    /// The runtime that the drivers of the store need, whatever executor the caller is on.
    work: Handle,
    backend: Backend,
}

/// Where the client runs.
enum Backend {
    /// In the process of a node. Its lanes start sagas at once, and its actors report their ends.
    Node(LocalNode),
    /// Without a node, beside the database only.
    Store { definitions: Definitions, without_participants: Participants, refreshed_at: Mutex<Option<Instant>> },
}

impl Client {
    /// Makes a client in the process of a node.
    pub fn for_node(node: LocalNode) -> Self {
        let (store, work) = (node.store().clone(), node.work().clone());
        Self { inner: Arc::new(Inner { store, work, backend: Backend::Node(node) }) }
    }

    /// Makes a client without a node; nodes elsewhere do the work. Call it within a tokio runtime, which then carries
    /// the connections.
    pub fn new(store: Store) -> Self {
        let work = Handle::current();
        // Without participants no fault is possible.
        let without_participants =
            Participants::new(Vec::new(), Handlers::new(), &work).unwrap_or_else(|_| unreachable!());
        let backend = Backend::Store {
            definitions: Definitions::default(),
            without_participants,
            refreshed_at: Mutex::default(),
        };
        Self { inner: Arc::new(Inner { store, work, backend }) }
    }

    /// Returns the store, for reading sagas.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Returns the definitions that new sagas use, ordered by name.
    pub async fn definitions(&self) -> Result<Vec<Arc<Definition>>, Error> {
        let client = self.clone();
        self.on_work(async move { Ok(client.registry().await?.all_current()) }).await
    }

    /// Returns the definition that new sagas of this name use.
    pub async fn definition(&self, name: &str) -> Result<Option<Arc<Definition>>, Error> {
        let (client, name) = (self.clone(), name.to_owned());
        self.on_work(async move { Ok(client.registry().await?.current(&name).map(|(pinned, _)| pinned.definition)) })
            .await
    }

    /// Sends a request to a saga, as an operator or a driver. Returns the number of the signal.
    pub async fn signal(&self, saga: Uuid, request: Request) -> Result<u64, Error> {
        self.ask(saga, request, None).await
    }

    /// Sends a request to a saga on behalf of `asker`, a name that a door has verified. The journal records the name.
    pub async fn signal_for(&self, asker: &str, saga: Uuid, request: Request) -> Result<u64, Error> {
        self.ask(saga, request, Some(asker.to_owned())).await
    }

    async fn ask(&self, saga: Uuid, request: Request, asker: Option<String>) -> Result<u64, Error> {
        let client = self.clone();
        self.on_work(async move {
            let store = &client.inner.store;
            let n = match asker {
                Some(asker) => store.signal_for(&asker, saga, &request).await?,
                None => store.signal(saga, &request).await?,
            };
            if let Backend::Node(node) = &client.inner.backend {
                node.signalled(saga);
            }
            Ok(n)
        })
        .await
    }

    /// Returns the time by the database's clock, in milliseconds since the Unix epoch.
    pub async fn now_ms(&self) -> Result<Millis, Error> {
        match &self.inner.backend {
            Backend::Node(node) => Ok(node.now_ms()),
            Backend::Store { .. } => {
                let store = self.inner.store.clone();
                self.on_work(async move { Ok(store.clock().await?) }).await
            }
        }
    }

    /// Returns the saga that a key of this owner started (none: of an application), unless the start is longer ago than
    /// `within`.
    pub async fn started_by(
        &self,
        name: &str,
        owner: Option<Arc<str>>,
        key: &str,
        within: Duration,
    ) -> Result<Option<Uuid>, Error> {
        let (store, name, key) = (self.inner.store.clone(), name.to_owned(), key.to_owned());
        self.on_work(async move { Ok(store.started_by(&name, owner.as_deref(), &key, within).await?) }).await
    }

    /// Returns the row of a saga, and the key that started it if there was one. None if there is no such saga.
    pub async fn saga(&self, saga: Uuid) -> Result<Option<(SagaRow, Option<Keyed>)>, Error> {
        let store = self.inner.store.clone();
        self.on_work(async move {
            let Some(row) = store.saga(saga).await? else { return Ok(None) };
            Ok(Some((row, store.start_key_of(saga).await?)))
        })
        .await
    }

    /// Returns the saga's answer to a signal: applied, or refused with the reason. None before the saga has read the
    /// signal.
    pub async fn signal_outcome(&self, saga: Uuid, signal: u64) -> Result<Option<Result<(), String>>, Error> {
        let store = self.inner.store.clone();
        self.on_work(async move {
            Ok(store.signal_fate(saga, signal).await?.map(|fate| match fate {
                SignalFate::Applied => Ok(()),
                SignalFate::Refused(reason) => Err(reason),
                SignalFate::Moot => Err("the saga ended first".to_owned()),
            }))
        })
        .await
    }

    /// Lists sagas, newest first.
    pub async fn list(&self, filter: Filter) -> Result<Vec<SagaRow>, Error> {
        let store = self.inner.store.clone();
        self.on_work(async move { Ok(store.list(&filter).await?) }).await
    }

    /// Returns the runtime that carries the connections.
    pub fn work(&self) -> &Handle {
        &self.inner.work
    }

    /// Returns the registry of definitions. A node keeps its own up to date. A client without a node reads it again
    /// when it is old.
    async fn registry(&self) -> Result<&Definitions, Error> {
        match &self.inner.backend {
            Backend::Node(node) => Ok(node.definitions()),
            Backend::Store { definitions, without_participants, refreshed_at } => {
                let mut refreshed_at = refreshed_at.lock().await;
                let fresh = Duration::from_millis(limits::DEFINITIONS_FRESH_MS);
                if refreshed_at.is_none_or(|at| at.elapsed() >= fresh) {
                    definitions.refresh(&self.inner.store, without_participants).await?;
                    *refreshed_at = Some(Instant::now());
                }
                Ok(definitions)
            }
        }
    }

    /// Makes an evaluation: here, or on another thread if it takes long.
    pub(crate) async fn aside<T: Send + 'static>(
        &self,
        evaluation: impl Fn() -> T + Send + 'static,
    ) -> Result<T, Error> {
        match shortly(&evaluation) {
            Some(evaluated) => Ok(evaluated),
            None => self.inner.work.spawn_blocking(evaluation).await.map_err(|_| Error::Stopped),
        }
    }

    /// Runs a future on the runtime that the drivers of the store need.
    async fn on_work<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        self.inner.work.spawn(future).await.map_err(|_| Error::Stopped)?
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("store", &self.inner.store).finish_non_exhaustive()
    }
}
