//! Builds a node: its settings, the checks before anything runs, and the order of the start. The threads are in
//! `threads.rs`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;

use super::threads::{Crew, Threads, lanes_open};
use super::{Error, Inner, Runtime};
use crate::actor::{
    ClaimPause, Definitions, FleetChores, Health, Idleness, LaneRouter, Lease, LocalNode, LookTurn, Membership, Node,
    Telemetry, Traces, TrialPermit, Waits, Wakeups,
};
use crate::client::Client;
use crate::config::actor::{self as limits, IdleSleep, Wake};
use crate::config::store::{POOL_CONNECTIONS, TRANSACTIONS_MAX};
use crate::participant::{Handlers, ParticipantConfig, Participants, expr, http_client};
use crate::saga::definition::Draft;
use crate::saga::{Definition, Fault};
use crate::store::{ChainKey, Chaining, PostgresConfig, Store, Watermarks};

/// The settings of a node that has not started. Get one from [`Runtime::builder`].
pub struct Builder {
    database_url: String,
    name: String,
    lanes: usize,
    pool: Option<usize>,
    threads: usize,
    residents_max: usize,
    migrate: bool,
    handlers: Handlers,
    participants: Vec<ParticipantConfig>,
    definitions: Vec<Draft>,
    checked: Vec<Arc<Definition>>,
    lease: Duration,
    wake: Wake,
    sleep: Option<IdleSleep>,
    traces: Option<String>,
    chaining: Chaining,
}

impl Builder {
    pub(super) fn new(database_url: String) -> Self {
        Self {
            database_url,
            name: std::env::var("HOSTNAME").unwrap_or_else(|_| "node".to_owned()),
            lanes: limits::LANES,
            pool: None,
            threads: limits::THREADS,
            residents_max: limits::RESIDENTS_MAX,
            migrate: true,
            handlers: Handlers::new(),
            participants: Vec::new(),
            definitions: Vec::new(),
            checked: Vec::new(),
            lease: Duration::from_millis(limits::LEASE_MS),
            wake: Wake::default(),
            sleep: None,
            traces: None,
            chaining: Chaining::default(),
        }
    }

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

    /// Sets the most connections of the node besides its lanes. Default 8.
    pub fn pool(mut self, connections: usize) -> Self {
        self.pool = Some(connections);
        self
    }

    /// Sets the number of threads for actors. Default 2. Handlers run on threads of their own.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Sets the most sagas that the node holds at a time. Default 10,000. Further sagas wait in the queue.
    pub fn residents_max(mut self, residents_max: usize) -> Self {
        self.residents_max = residents_max.max(1);
        self
    }

    /// Does not migrate the schema, only checks it: its owner has migrated it.
    pub fn without_migration(mut self) -> Self {
        self.migrate = false;
        self
    }

    /// Sets the Rust handlers that definitions may name.
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

    /// Adds definitions that are already checked.
    pub fn definitions(mut self, definitions: impl IntoIterator<Item = Arc<Definition>>) -> Self {
        self.checked.extend(definitions);
        self
    }

    /// Sets the time without a beat after which other nodes declare this one dead. Default 8 s; at least 2 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.max(Duration::from_millis(limits::LEASE_MS_MIN));
        self
    }

    /// Sets how the node learns that there is something to do. Default: it polls, and a start by SQL waits up to
    /// 250 ms for a node without work. With [`Wake::Listen`] the node keeps one more connection, and every start and
    /// request by SQL notifies it. Such transactions then commit one at a time, in the whole cluster.
    pub fn wake(mut self, wake: Wake) -> Self {
        self.wake = wake;
        self
    }

    /// Lets the node sleep when it has had nothing to do for `after`: it leaves the fleet, closes all connections and
    /// sends no statement until a timer, an event or a rerun is due, a caller in this process needs it, or `most` has
    /// passed. For a database that suspends itself when it is idle. Starts and requests by SQL are not seen before
    /// then. Default: it stays awake.
    pub fn sleep_when_idle(mut self, after: Duration, most: Duration) -> Self {
        self.sleep = Some(IdleSleep { after, most });
        self
    }

    /// Sends spans of sagas, steps, attempts and batches to the trace collector at this URL (OTLP over HTTP, JSON;
    /// usually `http://HOST:4318/v1/traces`). Default: no collector.
    pub fn traces(mut self, endpoint: impl Into<String>) -> Self {
        self.traces = Some(endpoint.into());
        self
    }

    /// Chains the journals of sagas that begin on this node: each row gets a digest over itself and the row before it.
    /// So `amends verify` finds rows that were changed, removed or inserted. With a secret as the key, a login that may
    /// only change the database cannot make a chain that fits. A saga that is chained stays so on every node. Default:
    /// journals are not chained.
    pub fn chain(mut self, key: Option<&str>) -> Self {
        self.chaining = Chaining { is_on: true, key: key.map(ChainKey::new) };
        self
    }

    /// Sets the key of chains without chaining the sagas that begin here: those of other nodes go on with their key.
    pub fn chain_key(mut self, key: &str) -> Self {
        self.chaining.key = Some(ChainKey::new(key));
        self
    }

    /// Starts the node: connects, migrates, registers the definitions and begins to take sagas. Works from any
    /// executor, or without one.
    pub async fn begin(self) -> Result<Runtime, Error> {
        let work = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("amends-work")
            .build()
            .map_err(Error::Threads)?;
        let handle = work.handle().clone();
        let work = Threads(Some(work));
        let (lanes, threads, residents_max) = (self.lanes, self.threads, self.residents_max);
        let (wake, sleep) = (self.wake, self.sleep);
        let prepared = handle.spawn(self.prepare(handle.clone()));
        let node = Arc::new(prepared.await.map_err(|_| Error::Stopped)??);
        let (router, health) = (LaneRouter::new(node.clone(), lanes), Health::default());
        let crew = Crew {
            node: node.clone(),
            router: router.clone(),
            health: health.clone(),
            lanes,
            threads,
            residents_max,
            wake,
            sleep,
        };
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("amends".to_owned())
            .spawn(move || crew.run(stopped))
            .map_err(Error::Threads)?;
        handle.spawn(lanes_open(router.clone())).await.map_err(|_| Error::Stopped)?;
        let client = Client::for_node(LocalNode::new(node.clone(), router.clone()));
        let inner = Inner { client, node, router, health, stop: Mutex::new(Some((stop, thread))), _work: work };
        Ok(Runtime { inner: Arc::new(inner) })
    }

    /// Makes everything that the actors need.
    async fn prepare(self, work: tokio::runtime::Handle) -> Result<Node, Error> {
        let definitions = build(self.definitions)?;
        let participants = Participants::new(self.participants, self.handlers, &work)
            .map_err(|faults| Error::Faults(located(faults)))?;
        let mut config = PostgresConfig::parse(&self.database_url)?;
        if let Some(connections) = self.pool {
            config = config.with_pool(connections);
        }
        let store = Store::connect(config).await?;
        if self.migrate {
            store.migrate().await?;
        }
        store.verify_schema().await?;
        let pool = self.pool.unwrap_or(POOL_CONNECTIONS);
        let listens = usize::from(self.wake == Wake::Listen);
        let connections = self.lanes + pool + TRANSACTIONS_MAX + listens;
        let (membership, clock) = Membership::join(&store, &self.name, self.lease, connections).await?;
        let registry = Definitions::default();
        let definitions: Vec<_> = definitions.into_iter().chain(self.checked).collect();
        let refused: Vec<String> =
            definitions.iter().flat_map(|definition| refused(definition, &participants)).collect();
        if !refused.is_empty() {
            return Err(Error::Faults(refused));
        }
        for definition in definitions {
            registry.register(&store, &participants, definition).await?;
        }
        store.note_plain_definitions().await?;
        registry.refresh(&store, &participants).await?;
        let begin = |collector: &str| Traces::begin(collector, &self.name, &work, http_client()?);
        let traces = self.traces.as_deref().map(begin).transpose();
        let traces = traces.map_err(|fault| Error::Faults(vec![fault]))?;
        Ok(Node {
            store,
            chaining: self.chaining,
            participants,
            definitions: registry,
            lease: Lease { membership, clock },
            claim_pause: ClaimPause::default(),
            chores: FleetChores::default(),
            look_turn: LookTurn::default(),
            idleness: Idleness::default(),
            watermarks: Watermarks::default(),
            trial_permit: TrialPermit::default(),
            waits: Waits::default(),
            wakeups: Wakeups::default(),
            telemetry: Telemetry { traces, ..Telemetry::default() },
            work,
        })
    }
}

/// Checks all drafts and their expressions. Returns every fault of every draft.
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

/// Returns why a node with these participants does not register a definition. It would start sagas that it cannot run.
fn refused(definition: &Definition, participants: &Participants) -> Vec<String> {
    let name = definition.name();
    let faults = participants.inadmissible(definition.draft()).into_iter().map(|fault| format!("{name}: {fault}"));
    let missing = participants.missing(definition.draft()).into_iter().map(|lacks| {
        format!(
            "{name}: expected {lacks}, found none on this node; add it, or leave the definition to nodes that have it"
        )
    });
    faults.chain(missing).collect()
}

fn located(faults: Vec<Fault>) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}
