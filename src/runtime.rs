//! Composes a node: the store, the participants, the definitions and the actors, on threads of its own,
//! behind a handle that any program can hold. Owns the order of starting and stopping; each room does the
//! rest.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use actix::{Actor, Arbiter, System};
use serde::Serialize;
use tokio::sync::oneshot;
use uuid::{NoContext, Timestamp, Uuid};

use crate::actor::{
    Child, Definitions, Ended, Health, Heart, Membership, Node, Pinned, Registrar, Roster, StartAnswer,
    Supervisor, Sweeper, Waiters, Worker,
};
use crate::config::actor as limits;
use crate::participant::{Handlers, ParticipantConfig, Participants, expr};
use crate::saga::definition::Draft;
use crate::saga::event::Request;
use crate::saga::{Definition, Fault, Json};
use crate::store::{self, PostgresConfig, StartKey, Store};

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

/// How a node is made. Get one from [`Runtime::builder`].
pub struct Builder {
    database_url: String,
    name: String,
    lanes: usize,
    threads: usize,
    residents_max: usize,
    migrate: bool,
    handlers: Handlers,
    participants: Vec<ParticipantConfig>,
    definitions: Vec<Draft>,
    checked: Vec<Arc<Definition>>,
    lease: Duration,
}

impl Builder {
    /// Names the node for people. Default: the host's name, else `node`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the number of committing connections. Default 2.
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = lanes.max(1);
        self
    }

    /// Sets the number of threads for actors. Default 2. Handlers run on threads of their own.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Sets how many sagas the node keeps at a time. Default 10,000. Beyond that, sagas wait in the queue.
    pub fn residents_max(mut self, residents_max: usize) -> Self {
        self.residents_max = residents_max.max(1);
        self
    }

    /// Leaves the schema alone: it was migrated by somebody else, and is only checked.
    pub fn without_migration(mut self) -> Self {
        self.migrate = false;
        self
    }

    /// Gives the Rust handlers that definitions may name.
    pub fn handlers(mut self, handlers: Handlers) -> Self {
        self.handlers = handlers;
        self
    }

    /// Adds participants: MCP servers and HTTP services.
    pub fn participants(mut self, participants: impl IntoIterator<Item = ParticipantConfig>) -> Self {
        self.participants.extend(participants);
        self
    }

    /// Adds a definition.
    pub fn definition(mut self, draft: Draft) -> Self {
        self.definitions.push(draft);
        self
    }

    /// Adds definitions that were checked already.
    pub fn definitions(mut self, definitions: impl IntoIterator<Item = Arc<Definition>>) -> Self {
        self.checked.extend(definitions);
        self
    }

    /// Sets the time without a sign of life after which other nodes take this one for dead. Default 8 s; at
    /// least 2 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.max(Duration::from_millis(limits::LEASE_MS_MIN));
        self
    }

    /// Starts the node: connects, migrates, registers the definitions and begins to take sagas. Works from
    /// any executor, or none.
    pub async fn begin(self) -> Result<Runtime, Error> {
        let work = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("amends-work")
            .build()
            .map_err(Error::Threads)?;
        let handle = work.handle().clone();
        let work = Threads(Some(work));
        let (lanes, threads, residents_max) = (self.lanes, self.threads, self.residents_max);
        let prepared = handle.spawn(self.prepare(handle.clone()));
        let node = Arc::new(prepared.await.map_err(|_| Error::Stopped)??);
        let (roster, health) = (Roster::new(lanes), Health::default());
        let crew = Crew {
            node: node.clone(),
            roster: roster.clone(),
            health: health.clone(),
            lanes,
            threads,
            residents_max,
        };
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("amends".to_owned())
            .spawn(move || crew.run(stopped))
            .map_err(Error::Threads)?;
        handle.spawn(lanes_open(roster.clone())).await.map_err(|_| Error::Stopped)?;
        let inner = Inner { node, roster, health, stop: Mutex::new(Some((stop, thread))), _work: work };
        Ok(Runtime { inner: Arc::new(inner) })
    }

    /// Everything that the actors need.
    async fn prepare(self, work: tokio::runtime::Handle) -> Result<Node, Error> {
        let definitions = build(self.definitions)?;
        let participants = Participants::new(self.participants, self.handlers, &work)
            .map_err(|faults| Error::Faults(located(faults)))?;
        let store = Store::connect(PostgresConfig::parse(&self.database_url)?).await?;
        if self.migrate {
            store.migrate().await?;
        }
        store.verify_schema().await?;
        let (membership, clock) = Membership::join(&store, &self.name, self.lease).await?;
        let registry = Definitions::default();
        for definition in definitions.into_iter().chain(self.checked) {
            registry.register(&store, &participants, definition).await?;
        }
        registry.refresh(&store, &participants).await?;
        let waiters = Waiters::default();
        Ok(Node { store, membership, participants, definitions: registry, clock, waiters, work })
    }
}

/// Waits until a lane takes sagas, so that the first start need not go through the queue. A node whose lanes
/// are late still begins.
async fn lanes_open(roster: Roster) {
    for _ in 0..limits::LANES_OPEN_LOOKS_MAX {
        if roster.is_working() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(limits::LANES_OPEN_LOOK_MS)).await;
    }
}

/// Checks drafts and their expressions; names every fault of all of them.
fn build(drafts: Vec<Draft>) -> Result<Vec<Arc<Definition>>, Error> {
    let mut faults = Vec::new();
    let mut definitions = Vec::new();
    for draft in drafts {
        let name = draft.name.clone();
        let expressions = located(expr::check_draft(&draft));
        match Definition::build(draft) {
            Ok(definition) => definitions.push(definition),
            Err(found) => faults.extend(found.iter().map(|fault| format!("{name}: {fault}"))),
        }
        faults.extend(expressions.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    if faults.is_empty() { Ok(definitions) } else { Err(Error::Faults(faults)) }
}

fn located(faults: Vec<Fault>) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

/// What the system thread is given.
struct Crew {
    node: Arc<Node>,
    roster: Roster,
    health: Health,
    lanes: usize,
    threads: usize,
    residents_max: usize,
}

impl Crew {
    /// Runs the actors until told to stop. The supervisor and the node's own actors live on this thread, the
    /// lanes on theirs.
    fn run(self, stopped: oneshot::Receiver<()>) {
        let system = System::new();
        system.block_on(async move {
            let arbiters: Vec<Arbiter> = (0..self.threads).map(|_| Arbiter::new()).collect();
            let slots = self.residents_max.div_ceil(self.lanes);
            let mut children = self.keepers();
            for place in 0..self.lanes {
                let arbiter = arbiters[place % arbiters.len()].handle();
                let (node, roster) = (self.node.clone(), self.roster.clone());
                children.push(Child::new("worker", move || {
                    Worker::begin(node.clone(), arbiter.clone(), roster.clone(), place, slots)
                }));
            }
            Supervisor::new(children, self.health).start();
            // The handle is gone or says so: both mean stop.
            let _ = stopped.await;
            for arbiter in arbiters {
                arbiter.stop();
            }
            System::current().stop();
        });
    }

    fn keepers(&self) -> Vec<Child> {
        let (heart, registrar, sweeper) = (self.node.clone(), self.node.clone(), self.node.clone());
        vec![
            Child::new("heart", move || {
                let node = heart.clone();
                async move { Ok(Heart::new(node).start().recipient()) }
            }),
            Child::new("registrar", move || {
                let node = registrar.clone();
                async move { Ok(Registrar::new(node).start().recipient()) }
            }),
            Child::new("sweeper", move || {
                let node = sweeper.clone();
                async move { Ok(Sweeper::new(node).start().recipient()) }
            }),
        ]
    }
}

/// The runtime for calls; its last owner may itself be asynchronous, where a runtime must not be dropped by
/// waiting.
struct Threads(Option<tokio::runtime::Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
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
        Builder {
            database_url: database_url.into(),
            name: std::env::var("HOSTNAME").unwrap_or_else(|_| "node".to_owned()),
            lanes: limits::LANES,
            threads: limits::THREADS,
            residents_max: limits::RESIDENTS_MAX,
            migrate: true,
            handlers: Handlers::new(),
            participants: Vec::new(),
            definitions: Vec::new(),
            checked: Vec::new(),
            lease: Duration::from_millis(limits::LEASE_MS),
        }
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
            Some((pinned, missing)) if missing.is_empty() => {
                let start_key = key.clone().map(|key| StartKey::new(key, input.clone())).transpose()?;
                match start_here(&roster, id, pinned, input.clone(), start_key).await? {
                    Some(saga) => Ok(saga),
                    None => self.start_queued(node, name, input, key).await,
                }
            }
            _ => self.start_queued(node, name, input, key).await,
        }
    }

    /// A UUIDv7 by the database's clock, so that ids fall into the partitions that are there.
    fn fresh_id(&self) -> Uuid {
        let now_ms = self.inner.node.clock.now_ms();
        let nanos = u32::try_from(now_ms % 1_000).unwrap_or_default() * 1_000_000;
        Uuid::new_v7(Timestamp::from_unix(NoContext, now_ms / 1_000, nanos))
    }

    /// Starts through the queue, for whichever node takes it.
    async fn start_queued(
        &self,
        node: Arc<Node>,
        name: String,
        input: Json,
        key: Option<String>,
    ) -> Result<Uuid, Error> {
        self.on_work(async move {
            node.store.start(&name, &input, key.as_deref()).await.map_err(|error| match error {
                store::Error::KeyConflict(message) => Error::KeyConflict(message),
                other => Error::Store(other),
            })
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
