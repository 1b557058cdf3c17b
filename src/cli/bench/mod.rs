//! `amends bench`: how many sagas this machine and this Postgres can do. Owns the workloads' shapes, the
//! clock around them and the report; what runs is a node as any program would embed it. Durability is
//! checked, not assumed.

mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::database::DatabaseArgs;
use super::failure::{Exit, Failure};
use super::output::Output;
use crate::metrics;
use crate::participant::{Failure as StepFailure, Handlers, StepContext};
use crate::runtime::Runtime;
use crate::saga::definition::{Call, Draft, Step};
use crate::saga::state::Status;
use report::{Measured, Memory};

/// Options of `amends bench`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What is run.
    #[arg(long, value_enum, default_value_t = Workload::Checkout3)]
    workload: Workload,
    /// How many sagas.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    sagas: u32,
    /// How many of them at a time.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: u32,
    /// Committing connections.
    #[arg(long, default_value_t = crate::config::actor::LANES)]
    lanes: usize,
    /// Threads for actors.
    #[arg(long, default_value_t = crate::config::actor::THREADS)]
    threads: usize,
}

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Workload {
    /// Three in-process steps in sequence, 200 bytes of JSON in and out, each outcome durable before the next
    /// step begins.
    #[value(name = "checkout-3")]
    Checkout3,
    /// Sagas that wait on this node, all at a time: what one of them costs in memory.
    Resident,
}

impl Workload {
    fn name(self) -> &'static str {
        match self {
            Self::Checkout3 => "checkout-3",
            Self::Resident => "resident",
        }
    }

    fn draft(self) -> Draft {
        let call = |name: &str| Step::new(name, Call::handler("echo").idempotent()).compensation(undo());
        let draft = Draft::new("bench");
        match self {
            Self::Checkout3 => draft
                .step(call("charge"))
                .step(call("booking").needs(["charge"]))
                .step(call("opportunity").needs(["booking"])),
            Self::Resident => draft.step(Step::new("wait", Call::handler("wait").read_only())),
        }
    }
}

fn undo() -> Call {
    Call::handler("echo").idempotent()
}

/// Runs the workload on a database of the caller's choice and reports what came of it.
pub(super) fn run(args: &Args, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let place = database.open()?;
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let measured = executor.block_on(measure(args, place.url()));
    drop(executor);
    place.close()?;
    report::show(&measured?, output)?;
    Ok(Exit::Done)
}

async fn measure(args: &Args, database_url: &str) -> Result<Measured, Failure> {
    let exposition = metrics::install().map_err(|error| Failure::failed(error.to_string()))?;
    let gate = Arc::new(Semaphore::new(0));
    let runtime = Runtime::builder(database_url)
        .name("bench")
        .lanes(args.lanes)
        .threads(args.threads)
        .residents_max(usize::try_from(args.sagas).unwrap_or(usize::MAX))
        .handlers(handlers(gate.clone()))
        .definition(args.workload.draft())
        .begin()
        .await?;
    runtime.store().durability().await?;
    let input = json!({ "payload": "x".repeat(INPUT_BYTES) });
    let before = report::Counters::read(&exposition.render());
    let memory_before = report::resident_bytes();
    let began = Instant::now();
    let latencies = match args.workload {
        Workload::Checkout3 => rounds(&runtime, args, &input).await?,
        Workload::Resident => Vec::new(),
    };
    let memory = match args.workload {
        Workload::Checkout3 => None,
        Workload::Resident => Some(hold(&runtime, args, &input, &gate, memory_before).await?),
    };
    let wall = began.elapsed();
    let counters = report::Counters::read(&exposition.render()).since(&before);
    runtime.stop(Duration::from_secs(10)).await?;
    Ok(Measured {
        workload: args.workload.name(),
        sagas: args.sagas,
        in_flight: args.in_flight,
        lanes: args.lanes,
        threads: args.threads,
        wall,
        counters,
        latencies,
        memory,
    })
}

/// Bytes of payload that make an input of about 200 bytes.
const INPUT_BYTES: usize = 186;

fn handlers(gate: Arc<Semaphore>) -> Handlers {
    Handlers::new()
        .register("echo", |_: StepContext, input: Value| async move { Ok::<_, StepFailure>(input) })
        .register("wait", move |_: StepContext, _: Value| {
            let gate = gate.clone();
            async move {
                // The gate is opened, never closed.
                let _ = gate.acquire().await;
                Ok::<_, StepFailure>(Value::Null)
            }
        })
}

/// Keeps `in_flight` sagas going until all have ended; returns the time of each from start to durable end.
async fn rounds(runtime: &Runtime, args: &Args, input: &Value) -> Result<Vec<Duration>, Failure> {
    let slots = Arc::new(Semaphore::new(usize::try_from(args.in_flight).unwrap_or(usize::MAX)));
    let mut running = tokio::task::JoinSet::new();
    let mut latencies = Vec::with_capacity(usize::try_from(args.sagas).unwrap_or_default());
    for _ in 0..args.sagas {
        let slot = slots.clone().acquire_owned().await.map_err(|error| Failure::failed(error.to_string()))?;
        let (runtime, input) = (runtime.clone(), input.clone());
        running.spawn(async move {
            let began = Instant::now();
            let ended = runtime.run("bench", &input).await;
            drop(slot);
            ended.map(|ended| (ended.status, began.elapsed()))
        });
        while let Some(ended) = running.try_join_next() {
            latencies.push(completed(ended)?);
        }
    }
    while let Some(ended) = running.join_next().await {
        latencies.push(completed(ended)?);
    }
    Ok(latencies)
}

fn completed(
    ended: Result<Result<(Status, Duration), crate::runtime::Error>, tokio::task::JoinError>,
) -> Result<Duration, Failure> {
    let (status, latency) = ended.map_err(|error| Failure::failed(error.to_string()))??;
    if status != Status::Completed {
        return Err(Failure::failed(format!("expected every saga to be completed, found one {status}")));
    }
    Ok(latency)
}

/// Starts sagas that all wait in their step, weighs the process, and lets them go.
async fn hold(
    runtime: &Runtime,
    args: &Args,
    input: &Value,
    gate: &Semaphore,
    before: u64,
) -> Result<Memory, Failure> {
    let mut sagas = Vec::with_capacity(usize::try_from(args.sagas).unwrap_or_default());
    for _ in 0..args.sagas {
        sagas.push(runtime.start("bench", input).await?);
    }
    let resident = report::resident_bytes().saturating_sub(before);
    gate.add_permits(Semaphore::MAX_PERMITS / 2);
    for saga in sagas {
        runtime.wait(saga).await?;
    }
    Ok(Memory { bytes_per_saga: resident / u64::from(args.sagas) })
}
