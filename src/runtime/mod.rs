//! Composes a node from the store, the participants, the definitions and the actors, on threads of its own, behind a
//! handle that any program can hold. Owns the order of the start and the stop. Everything else is left to the rooms.

mod builder;
mod sleep;
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
pub use crate::config::actor::Wake;
use crate::files;
use crate::saga::Json;
use crate::saga::event::Request;
use crate::store::{self, NodeId, Store};
pub use builder::Builder;
use threads::Threads;

/// Why a node could not start or stop. The errors of a request are in [`client::Error`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed: see the inner error.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Definitions, participants or the trace collector are wrong. Holds all faults.
    #[error("{}", .0.join("\n"))]
    Faults(Vec<String>),
    /// The runtime was stopped.
    #[error("the runtime was stopped")]
    Stopped,
    /// The threads of the runtime could not be started.
    #[error("cannot start the threads of the runtime: {0}")]
    Threads(std::io::Error),
}

/// A node in this process. Cheap to clone and to share between threads. The node runs until [`Runtime::stop`], or
/// until the last handle is dropped.
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
    /// Returns a builder of a node on this database, given as a connection string of libpq.
    pub fn builder(database_url: impl Into<String>) -> Builder {
        Builder::new(database_url.into())
    }

    /// Returns a client of this node: it starts, waits for, signals and inspects sagas. It does not keep the node
    /// running.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// Starts a saga. Returns its id once the start is durable.
    pub async fn start(&self, definition: &str, input: &impl Serialize) -> Result<Uuid, client::Error> {
        self.start_saga(definition, input, None).await
    }

    /// Starts a saga under an idempotency key. The same key with the same input returns the id of the first saga.
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

    /// Sends a request to a saga, as an operator or a driver. Returns the number of the signal.
    pub async fn signal(&self, saga: Uuid, request: Request) -> Result<u64, client::Error> {
        self.inner.client.signal(saga, request).await
    }

    /// Returns the store, for reading sagas.
    pub fn store(&self) -> &Store {
        &self.inner.node.store
    }

    /// Returns the node's name, which is for people.
    pub fn name(&self) -> &str {
        self.inner.node.lease.membership.name()
    }

    /// Returns, for people, why the node does not work as it should. Empty if it does.
    pub fn health_issues(&self) -> Vec<String> {
        if !self.inner.node.idleness.is_awake() {
            // It has no lane and no lease until it wakes, which a start does.
            return Vec::new();
        }
        let mut health_issues = self.inner.health.health_issues();
        health_issues.extend(self.inner.node.telemetry.write_failures.complaint());
        health_issues.extend(files::complaint());
        if !self.inner.node.lease.clock.is_trusted() {
            health_issues.push("no recent beat was confirmed; check that the database is reachable".to_owned());
        }
        if !self.inner.router.is_working() {
            health_issues.push("no lane takes sagas".to_owned());
        }
        health_issues
    }

    /// Returns the definitions that this node cannot run, each with what it lacks.
    pub fn unrunnable_definitions(&self) -> Vec<(String, Vec<String>)> {
        self.inner.node.definitions.unrunnable_definitions()
    }

    /// Stops the node: takes no more sagas, lets attempts end within `grace`, hands back the rest and leaves the list
    /// of nodes. Returns whether the lanes handed everything back in time. Other nodes take over the rest all the
    /// same.
    pub async fn stop(&self, grace: Duration) -> Result<bool, Error> {
        let (node, router) = (self.inner.node.clone(), self.inner.router.clone());
        let before = node.lease.membership.id();
        let clean = self
            .on_work(async move {
                boundary::pass("runtime: stopping");
                // A database that is away keeps neither the participants' processes nor the last spans.
                let (clean, left) = match node.idleness.is_asleep() {
                    true => (true, Ok(())),
                    false => hand_over(&node, &router, grace).await,
                };
                node.participants.shutdown().await;
                if node.telemetry.traces.is_some() {
                    // `Traces::end` blocks, and the requests that it waits for need this thread.
                    let told = tokio::task::spawn_blocking(move || node.telemetry.traces.as_ref().map(Traces::end));
                    told.await.map_err(|_| Error::Stopped)?;
                }
                left?;
                Ok(clean)
            })
            .await;
        let running = self.inner.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = running {
            // A thread that has already ended does not receive it.
            let _ = stop.send(());
            // Joining blocks, so it must not run on a thread that drives futures.
            let joined = self.inner.node.work.spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the thread of the actors panicked");
            }
        }
        self.leave_again(before).await;
        clean
    }

    /// Leaves as the incarnation that this process has become while it was told to stop: it was declared dead or woke
    /// up just then.
    async fn leave_again(&self, before: NodeId) {
        let node = self.inner.node.clone();
        if node.lease.membership.id() == before {
            return;
        }
        let left = self.on_work(async move { Ok(node.leave().await?) });
        if let Err(error) = left.await {
            tracing::warn!(%error, "could not leave; other nodes notice it when the lease ends");
        }
    }

    async fn start_saga(
        &self,
        definition: &str,
        input: &impl Serialize,
        key: Option<String>,
    ) -> Result<Uuid, client::Error> {
        let (client, input) = (&self.inner.client, encode(input)?);
        let id = client.new_id(definition, &input, None, key.as_deref()).await?;
        Ok(client.start(id, definition, input, key).await?.id)
    }

    /// Runs a future on the runtime that the drivers of the store need, whatever executor the caller is on.
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

/// Hands back the sagas of a node and lets it leave. Returns whether the lanes handed everything back in time, and
/// whether the node has left.
async fn hand_over(node: &Node, router: &LaneRouter, grace: Duration) -> (bool, Result<(), store::Error>) {
    if let Err(error) = node.store.announce_end(node.lease.membership.id()).await {
        tracing::warn!(%error, "could not announce that the node is stopping");
    }
    let clean = router.drain(grace).await;
    node.chores.leave();
    (clean, node.leave().await)
}

fn encode(input: &impl Serialize) -> Result<Json, client::Error> {
    Json::encode(input).map_err(|error| client::Error::Input(vec![error.to_string()]))
}
