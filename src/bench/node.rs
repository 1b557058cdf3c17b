//! A node of a bench: a process of its own that embeds the runtime as any program would. Reads orders from stdin and
//! answers on stdout, one JSON value a line. Owns the loads that a node makes itself.

use std::convert::Infallible;
use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use super::usage;
use super::workload::{self, DEFINITION, Drive, Workload};
use crate::cli::database::DatabaseArgs;
use crate::cli::failure::{Exit, Failure};
use crate::metrics::{self, Exposition};
use crate::runtime::{Runtime, Wake};
use crate::saga::state::Status;

/// Options of a bench node.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct NodeArgs {
    /// Workload to run.
    #[arg(long, value_enum, default_value_t = Workload::Checkout3)]
    pub(super) workload: Workload,
    /// Sagas under way at a time on each node.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) in_flight: u32,
    /// Committing connections of each node.
    #[arg(long, default_value_t = crate::config::actor::LANES)]
    pub(super) lanes: usize,
    /// Actor threads of each node.
    #[arg(long, default_value_t = crate::config::actor::THREADS)]
    pub(super) threads: usize,
    /// Lets the nodes listen, so that SQL from outside wakes them.
    #[arg(long)]
    pub(super) listen: bool,
    /// Most resident sagas of a node.
    #[arg(long, default_value_t = 100_000)]
    pub(super) residents_max: usize,
}

/// An order to a node.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// Number of sagas to start; 0 if they are started elsewhere.
    pub(super) sagas: u32,
    /// Time after which the node starts no more, in seconds.
    pub(super) seconds: Option<f64>,
    /// Starts per second, whatever the load.
    pub(super) rate: Option<f64>,
}

impl Order {
    /// An order that only asks for the counts.
    pub(super) const NOTHING: Self = Self { sagas: 0, seconds: None, rate: None };
}

/// An answer of a node: an empty one when it is ready, then one for each order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Done {
    /// Time from the start of each saga to its durable end, in microseconds.
    pub(super) latencies_us: Vec<u64>,
    /// Sagas that ended here since the last answer.
    pub(super) ended: f64,
    /// Transitions committed since then.
    pub(super) transitions: f64,
    /// Commits since then.
    pub(super) commits: f64,
    /// Processor time since then, in seconds.
    pub(super) cpu_s: f64,
    /// Memory in use now, in bytes.
    pub(super) resident_bytes: u64,
    /// Memory of each waiting saga, in bytes.
    pub(super) bytes_per_saga: Option<u64>,
}

/// Runs a node until its orders end.
pub(crate) fn run(args: NodeArgs, database: &DatabaseArgs) -> Result<Exit, Failure> {
    let url = database.database_url.clone().unwrap_or_default();
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    executor.block_on(serve(args, &url))
}

async fn serve(args: NodeArgs, url: &str) -> Result<Exit, Failure> {
    let exposition = metrics::install().map_err(|error| Failure::failed(error.to_string()))?;
    let gate = Arc::new(Semaphore::new(0));
    let runtime = Runtime::builder(url)
        .name(format!("bench-{}", std::process::id()))
        .lanes(args.lanes)
        .threads(args.threads)
        .residents_max(args.residents_max)
        .wake(if args.listen { Wake::Listen } else { Wake::Poll })
        .handlers(workload::handlers(gate.clone()))
        .definition(args.workload.draft())
        .begin()
        .await?;
    let node = BenchNode { args, runtime, gate, exposition };
    let (mut orders, mut last) = orders();
    let mut before = node.sample();
    say(&Done::default())?;
    while let Some(order) = orders.recv().await {
        let (latencies_us, bytes_per_saga) = tokio::select! {
            done = node.carry_out(order?) => done?,
            // The parent is gone.
            _ = &mut last => break,
        };
        let now = node.sample();
        say(&Done { latencies_us, bytes_per_saga, ..now.since(&before) })?;
        before = now;
    }
    node.runtime.stop(Duration::from_secs(10)).await?;
    Ok(Exit::Done)
}

/// Reads orders on a thread of its own until stdin ends, which it also does when the parent is gone. The second value
/// resolves when no more orders come.
fn orders() -> (mpsc::UnboundedReceiver<Result<Order, Failure>>, oneshot::Receiver<Infallible>) {
    let (send, orders) = mpsc::unbounded_channel();
    let (until, last) = oneshot::channel();
    std::thread::spawn(move || {
        let _until = until;
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let order = serde_json::from_str(&line).map_err(|error| Failure::failed(error.to_string()));
            if send.send(order).is_err() {
                return;
            }
        }
    });
    (orders, last)
}

fn say(done: &Done) -> Result<(), Failure> {
    let text = serde_json::to_string(done).map_err(|error| Failure::failed(error.to_string()))?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::failed(format!("cannot answer, the bench has closed the pipe: {error}")))
}

struct BenchNode {
    args: NodeArgs,
    runtime: Runtime,
    gate: Arc<Semaphore>,
    exposition: Exposition,
}

impl BenchNode {
    /// Carries out an order. Returns the latencies of the sagas it waited for, and the memory of a waiting saga.
    async fn carry_out(&self, order: Order) -> Result<(Vec<u64>, Option<u64>), Failure> {
        match self.args.workload.drive() {
            Drive::Closed => Ok((self.start_all(order, true).await?, None)),
            Drive::Queued => Ok((Vec::new(), None)),
            Drive::Signalled | Drive::Timed => Ok((self.start_all(order, false).await?, None)),
            Drive::Held if order.sagas == 0 => Ok((Vec::new(), None)),
            Drive::Held => Ok((Vec::new(), Some(self.hold(order).await?))),
        }
    }

    /// Starts sagas, at most `in_flight` at a time or at a rate, and waits for the end of each, or only for its
    /// start. Returns the time each took; at a rate, from its due time.
    async fn start_all(&self, order: Order, to_the_end: bool) -> Result<Vec<u64>, Failure> {
        let in_flight = usize::try_from(self.args.in_flight).unwrap_or(usize::MAX);
        let slots = Arc::new(Semaphore::new(in_flight));
        let (input, expected) = (workload::input(), self.args.workload.end());
        let (mut running, mut latencies) = (JoinSet::new(), Vec::new());
        let began = Instant::now();
        for number in 0..order.sagas {
            if order.seconds.is_some_and(|seconds| began.elapsed().as_secs_f64() >= seconds) {
                break;
            }
            let due = order.rate.map(|rate| began + Duration::from_secs_f64(f64::from(number) / rate));
            if let Some(due) = due {
                tokio::time::sleep_until(due.into()).await;
            }
            let slot = slots.clone().acquire_owned().await.map_err(|_| Failure::failed("no slots"))?;
            let (runtime, input) = (self.runtime.clone(), input.clone());
            running.spawn(async move {
                let began = due.unwrap_or_else(Instant::now);
                let status = if to_the_end {
                    runtime.run(DEFINITION, &input).await?.status
                } else {
                    runtime.start(DEFINITION, &input).await.map(|_| expected)?
                };
                drop(slot);
                Ok((status, began.elapsed()))
            });
            while let Some(ended) = running.try_join_next() {
                latencies.push(as_expected(ended, expected)?);
            }
        }
        while let Some(ended) = running.join_next().await {
            latencies.push(as_expected(ended, expected)?);
        }
        Ok(latencies)
    }

    /// Starts sagas that all wait in their step, measures the memory, and lets them go on.
    async fn hold(&self, order: Order) -> Result<u64, Failure> {
        let before = usage::resident_bytes();
        self.start_all(order, false).await?;
        let resident = usage::resident_bytes().saturating_sub(before);
        self.gate.add_permits(usize::try_from(order.sagas).unwrap_or(usize::MAX));
        Ok(resident / u64::from(order.sagas.max(1)))
    }

    /// Returns the counts and the usage of this process so far.
    fn sample(&self) -> Done {
        let text = self.exposition.render();
        let sum = |name: &str| -> f64 {
            let lines = text.lines().filter_map(|line| line.strip_prefix(name));
            lines.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        Done {
            latencies_us: Vec::new(),
            ended: sum("amends_sagas_ended_total{"),
            transitions: sum("amends_commit_transitions_sum"),
            commits: sum("amends_commit_transitions_count"),
            cpu_s: usage::cpu_s(),
            resident_bytes: usage::resident_bytes(),
            bytes_per_saga: None,
        }
    }
}

impl Done {
    /// Adds later counts.
    pub(super) fn add(&mut self, later: &Self) {
        self.ended += later.ended;
        self.transitions += later.transitions;
        self.commits += later.commits;
        self.cpu_s += later.cpu_s;
    }

    /// Returns the difference to earlier counts.
    fn since(&self, before: &Self) -> Self {
        Self {
            ended: self.ended - before.ended,
            transitions: self.transitions - before.transitions,
            commits: self.commits - before.commits,
            cpu_s: self.cpu_s - before.cpu_s,
            ..self.clone()
        }
    }
}

type Ended = Result<Result<(Status, Duration), crate::client::Error>, tokio::task::JoinError>;

fn as_expected(ended: Ended, expected: Status) -> Result<u64, Failure> {
    let (status, latency) = ended.map_err(|error| Failure::failed(error.to_string()))??;
    if status != expected {
        return Err(Failure::failed(format!("expected every saga to be {expected}, found one {status}")));
    }
    Ok(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX))
}
