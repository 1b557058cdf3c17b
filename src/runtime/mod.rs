//! Composes a node: the store, the participants, the definitions and the actors, on threads of its own,
//! behind a handle that any program can hold. Owns the order of starting and stopping; each room does the
//! rest.

mod builder;
mod threads;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::actor::{Ended, Health, LaneRouter, Node, Traces};
use crate::boundary;
use crate::client::{self, Client};
use crate::saga::Json;
use crate::saga::event::Request;
use crate::store::{self, Store};
pub use builder::Builder;
use threads::Threads;

/// What can go wrong with beginning and stopping a node; what can go wrong with asking is [`client::Error`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database: see the inner error.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A definition or a participant is wrong; all faults at once.
    #[error("{}", .0.join("\n"))]
    Faults(Vec<String>),
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
    client: Client,
    node: Arc<Node>,
    router: LaneRouter,
    health: Health,
    stop: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
    _work: Threads,
}

impl Runtime {
    /// Begins to describe a node on this database: a connection string as libpq takes it.
    pub fn builder(database_url: impl Into<String>) -> Builder {
        Builder::new(database_url.into())
    }

    /// A handle that only asks: it starts, waits, signals and inspects, and does not keep the node running.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// Starts a saga; returns its id when that is durable.
    pub async fn start(&self, definition: &str, input: &impl Serialize) -> Result<Uuid, client::Error> {
        self.start_saga(definition, input, None).await
    }

    /// Starts a saga under an idempotency key: the same key with the same input returns the first saga's id.
    pub async fn start_once(&self, definition: &str, input: &impl Serialize, key: &str) -> Result<Uuid, client::Error> {
        self.start_saga(definition, input, Some(key.to_owned())).await
    }

    /// Starts a saga and waits for its end.
    pub async fn run(&self, definition: &str, input: &impl Serialize) -> Result<Ended, client::Error> {
        self.inner.client.run(definition, encode(input)?).await
    }

    /// Waits for the end of a saga, wherever it runs.
    pub async fn wait(&self, saga: Uuid) -> Result<Ended, client::Error> {
        self.inner.client.wait(saga).await
    }

    /// Asks something of a saga, as an operator or a driver; returns the number of the signal.
    pub async fn signal(&self, saga: Uuid, request: Request) -> Result<u64, client::Error> {
        self.inner.client.signal(saga, request).await
    }

    /// The store, to look at sagas.
    pub fn store(&self) -> &Store {
        &self.inner.node.store
    }

    /// The node's name, for people.
    pub fn name(&self) -> &str {
        self.inner.node.lease.membership.name()
    }

    /// Why the node does not work as it should, for people; empty when it does.
    pub fn health_issues(&self) -> Vec<String> {
        let mut health_issues = self.inner.health.health_issues();
        health_issues.extend(self.inner.node.telemetry.write_failures.complaint());
        if !self.inner.node.lease.clock.is_trusted() {
            health_issues.push("no beat was confirmed of late: is the database reachable?".to_owned());
        }
        if !self.inner.router.is_working() {
            health_issues.push("no lane takes sagas".to_owned());
        }
        health_issues
    }

    /// Definitions that this node cannot run, with what it lacks.
    pub fn unrunnable_definitions(&self) -> Vec<(String, Vec<String>)> {
        self.inner.node.definitions.unrunnable_definitions()
    }

    /// Stops the node in good order: takes no more, lets attempts end within `grace`, hands back the rest and
    /// says goodbye. Returns whether everything was handed back; what was not is taken over by others all the
    /// same.
    pub async fn stop(&self, grace: Duration) -> Result<bool, Error> {
        let (node, router) = (self.inner.node.clone(), self.inner.router.clone());
        let clean = self
            .on_work(async move {
                boundary::pass("runtime: stopping");
                let member = node.lease.membership.id();
                if let Err(error) = node.store.announce_end(member).await {
                    tracing::warn!(%error, "the node's end is not announced");
                }
                let clean = router.drain(grace).await;
                let member = node.lease.membership.id();
                node.store.leave(member).await?;
                node.store.sweep(member).await?;
                node.participants.shutdown().await;
                if node.telemetry.traces.is_some() {
                    // It blocks, and the requests that it waits for need this thread.
                    let told = tokio::task::spawn_blocking(move || node.telemetry.traces.as_ref().map(Traces::end));
                    told.await.map_err(|_| Error::Stopped)?;
                }
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
        definition: &str,
        input: &impl Serialize,
        key: Option<String>,
    ) -> Result<Uuid, client::Error> {
        let client = &self.inner.client;
        Ok(client.start(client.fresh_id().await?, definition, encode(input)?, key).await?.id)
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

fn encode(input: &impl Serialize) -> Result<Json, client::Error> {
    Json::encode(input).map_err(|error| client::Error::Input(vec![error.to_string()]))
}
