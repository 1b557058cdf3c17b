//! `amends bench`: measures how many sagas this machine and this Postgres can run. Owns the order of a bench: node
//! processes run rounds in turn with the baseline, so that a drifting machine affects both alike. It checks that the
//! server is durable.

mod baseline;
mod database;
mod node;
mod nodes;
mod report;
mod usage;
mod views;
mod workload;

use std::time::Instant;

use crate::cli::database::DatabaseArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::store::{PostgresConfig, Store};
use baseline::{Limit, Template, Writers};
use database::{Ballast, Outside};
use node::{Done, Order};
use nodes::NodeProcess;
use report::{Against, Measured};
use usage::{Server, Used};
use views::Dashboard;
use workload::{Drive, Workload};

pub(super) use node::{NodeArgs, run as run_node};

/// Sagas of a bench without `--sagas` and `--seconds`.
const SAGAS: u32 = 20_000;
/// Sagas of the warm-up round, which fills caches and plans and is not counted.
const WARM_UP: u32 = 2_000;
/// Pairs of rounds with a baseline.
const PAIRS: u32 = 5;

/// Options of `amends bench`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    node: NodeArgs,
    /// Number of sagas, over all nodes and rounds. Default: 20,000, or as many as --seconds allow.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    sagas: Option<u32>,
    /// Duration in seconds, over all rounds.
    #[arg(long, value_name = "S", value_parser = above_zero)]
    seconds: Option<f64>,
    /// Starts this many sagas a second whatever the load, to measure latency.
    #[arg(long, value_name = "R", value_parser = above_zero)]
    rate: Option<f64>,
    /// Node processes that share the work.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    nodes: u32,
    /// Baseline that runs in turn with the engine: `bare`, the same rows in one statement with nothing around it, or
    /// `naive`, a loop that commits each transition by itself.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "bare", value_name = "AGAINST")]
    limit: Option<Limit>,
    /// Rounds of the engine, and of the baseline. Default: 1, or 5 with --limit.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: Option<u32>,
    #[command(flatten)]
    ballast: Ballast,
    /// Holds an old snapshot during the whole bench, so that vacuum can remove nothing.
    #[arg(long)]
    held_xmin: bool,
    /// Runs even on a server that may lose what it acknowledged, and says so in the report.
    #[arg(long = "unsafe")]
    without_durability: bool,
    /// Fills the given database and keeps the rows. Default: a database of its own on the same server, dropped
    /// afterwards.
    #[arg(long)]
    in_place: bool,
}

/// Work of one round, over all nodes.
#[derive(Clone, Copy, Debug)]
struct Work {
    sagas: u32,
    seconds: Option<f64>,
    rate: Option<f64>,
    /// Whether the sagas are already in the queue.
    backlog: bool,
}

/// Result of one round of the engine or of a baseline.
#[derive(Clone, Debug, Default)]
struct Round {
    transitions: f64,
    wall_s: f64,
    latencies_us: Vec<u64>,
}

impl Round {
    /// Joins the results of several connections that ran at the same time.
    fn of_all(sides: &[Self]) -> Self {
        Self {
            transitions: sides.iter().map(|side| side.transitions).sum(),
            wall_s: sides.iter().map(|side| side.wall_s).fold(0.0, f64::max),
            latencies_us: sides.iter().flat_map(|side| side.latencies_us.iter().copied()).collect(),
        }
    }
}

/// A round of the engine.
struct EngineRound {
    round: Round,
    /// Answers, one for each node.
    nodes: Vec<Done>,
    wal_bytes: f64,
    postgres_cpu_s: Option<f64>,
    /// Dead rows at the end of the round, in tables whose rows come and go, by the server's statistics.
    dead_rows: f64,
}

impl EngineRound {
    fn batch_mean(&self) -> usize {
        let commits: f64 = self.nodes.iter().map(|node| node.commits).sum();
        (self.round.transitions / commits.max(1.0)).round() as usize
    }
}

fn above_zero(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("expected a number, found {text:?}"))?;
    if number > 0.0 && number.is_finite() { Ok(number) } else { Err(format!("expected more than 0, found {text}")) }
}

/// Runs the bench and prints its report.
pub(crate) fn run(args: &Args, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    args.check()?;
    let place = database.settled()?.open()?;
    let executor = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let measured = executor.block_on(args.in_database(place.url()));
    drop(executor);
    place.close()?;
    report::show(&measured?, output)?;
    Ok(Exit::Done)
}

impl Args {
    fn check(&self) -> Result<(), Failure> {
        let drive = self.node.workload.drive();
        let rated = matches!(drive, Drive::Closed | Drive::Queued);
        let faults: Vec<&str> = [
            (self.ballast.backlog > 0 && drive != Drive::Queued, "--backlog goes with --workload claim"),
            (self.ballast.backlog > 0 && self.seconds.is_none(), "--backlog needs --seconds"),
            (self.ballast.backlog > 0 && self.limit.is_some(), "--backlog goes without --limit"),
            (self.rate.is_some() && !rated, "--rate goes with workloads whose sagas do not wait"),
            (drive == Drive::Held && self.limit.is_some(), "--workload resident goes without --limit"),
        ]
        .into_iter()
        .filter_map(|(is_wrong, words)| is_wrong.then_some(words))
        .collect();
        if faults.is_empty() { Ok(()) } else { Err(Failure::usage(faults.join("; "))) }
    }

    /// Runs in a database of the bench's own, unless `--in-place` is given.
    async fn in_database(&self, url: &str) -> Result<Measured, Failure> {
        if self.in_place {
            return self.measure(url).await;
        }
        let (own, name) = database::create_database(url).await?;
        let measured = self.measure(&own).await;
        let dropped = database::drop_database(url, &name).await;
        let measured = measured?;
        dropped.map(|()| measured)
    }

    async fn measure(&self, url: &str) -> Result<Measured, Failure> {
        let config = PostgresConfig::parse(url)?;
        let store = Store::connect(config.clone()).await?;
        let durable = store.durability().await;
        if !self.without_durability {
            durable.clone()?;
        }
        store.migrate().await?;
        let mut bench = Bench::begin(self, url, &config).await?;
        let template = bench.warm_up().await?;
        let body_bytes = template.body_bytes();
        bench.fill(&template).await?;
        if self.held_xmin {
            bench.outside.hold_snapshot(&config).await?;
        }
        let (mut engine, mut against) = (Vec::new(), Against::default());
        let writers = match self.limit {
            Some(limit) => {
                let lanes = self.node.lanes * self.nodes as usize;
                let writers = Writers::open(limit, lanes, &config, template).await?;
                if limit == Limit::Bare {
                    against.best_batch = writers.best_batch().await?;
                }
                Some(writers)
            }
            None => None,
        };
        let dashboard = match self.node.workload {
            Workload::AdminViews => Some(Dashboard::open(&config).await?),
            _ => None,
        };
        // Resets the nodes' counts: they also worked while all this was set up.
        bench.tell(Order::NOTHING).await?;
        for _ in 0..self.rounds() {
            let round = bench.round(self.work()).await?;
            if let Some(writers) = &writers {
                self.turn(&round, writers, &mut against).await?;
            }
            engine.push(round);
        }
        let looks = match dashboard {
            Some(dashboard) => dashboard.close().await?,
            None => views::Looks::new(),
        };
        bench.stop_nodes().await?;
        Ok(Measured { settings: self.settings(durable.is_err()), body_bytes, engine, against, looks })
    }

    /// Runs the baseline for as long as the engine's round took.
    async fn turn(&self, engine: &EngineRound, writers: &Writers, against: &mut Against) -> Result<(), Failure> {
        let seconds = engine.round.wall_s;
        match self.limit {
            Some(Limit::Bare) => {
                against.same.push(writers.bare(engine.batch_mean(), seconds).await?);
                against.rounds.push(writers.bare(against.best_batch, seconds).await?);
            }
            Some(Limit::Naive) => against.rounds.push(writers.naive(self.rate, seconds).await?),
            None => {}
        }
        Ok(())
    }

    fn rounds(&self) -> u32 {
        self.pairs.unwrap_or(if self.limit.is_some() { PAIRS } else { 1 })
    }

    /// Returns the work of each round.
    fn work(&self) -> Work {
        let rounds = self.rounds();
        let by_rate = self.rate.zip(self.seconds).map(|(rate, seconds)| (rate * seconds).ceil() as u32);
        let sagas = match (self.sagas, by_rate, self.seconds) {
            (Some(sagas), _, _) => sagas,
            (None, Some(sagas), _) => sagas,
            (None, None, Some(_)) => u32::MAX,
            (None, None, None) => SAGAS,
        };
        Work {
            sagas: (sagas / rounds).max(1),
            seconds: self.seconds.map(|seconds| seconds / f64::from(rounds)),
            rate: self.rate,
            backlog: self.ballast.backlog > 0,
        }
    }

    fn settings(&self, not_durable: bool) -> serde_json::Value {
        serde_json::json!({
            "workload": self.node.workload.name(),
            "nodes": self.nodes,
            "lanes": self.node.lanes,
            "threads": self.node.threads,
            "in_flight": self.node.in_flight,
            "listen": self.node.listen,
            "rate": self.rate,
            "rounds": self.rounds(),
            "history": self.ballast.history,
            "parked": self.ballast.parked,
            "backlog": self.ballast.backlog,
            "held_xmin": self.held_xmin,
            "unsafe": not_durable,
        })
    }
}

/// A bench under way.
struct Bench<'a> {
    args: &'a Args,
    url: &'a str,
    nodes: Vec<NodeProcess>,
    outside: Outside,
    server: Server,
}

impl<'a> Bench<'a> {
    async fn begin(args: &'a Args, url: &'a str, config: &PostgresConfig) -> Result<Self, Failure> {
        let outside = Outside::open(config).await?;
        let (client, _task) = config.open().await?;
        let server = Server::find(client).await?;
        let mut bench = Self { args, url, nodes: Vec::new(), outside, server };
        bench.start_nodes().await?;
        Ok(bench)
    }

    async fn start_nodes(&mut self) -> Result<(), Failure> {
        for _ in 0..self.args.nodes {
            self.nodes.push(NodeProcess::start(self.args.node, self.url).await?);
        }
        Ok(())
    }

    async fn stop_nodes(&mut self) -> Result<(), Failure> {
        for node in self.nodes.drain(..) {
            node.stop().await?;
        }
        Ok(())
    }

    /// Fills the tables. The nodes are stopped while the queue is filled, or they would empty it.
    async fn fill(&mut self, template: &Template) -> Result<(), Failure> {
        let ballast = self.args.ballast;
        if ballast.backlog == 0 {
            return self.outside.fill(ballast, template).await;
        }
        self.stop_nodes().await?;
        self.outside.fill(ballast, template).await?;
        self.start_nodes().await
    }

    /// Runs a small round that is not counted. Returns the rows of a saga of this workload.
    async fn warm_up(&mut self) -> Result<Template, Failure> {
        let sagas = self.args.sagas.unwrap_or(WARM_UP).min(WARM_UP);
        self.round(Work { sagas, seconds: None, rate: None, backlog: false }).await?;
        Template::of_last(self.outside.client()).await
    }

    /// Runs one round on all nodes.
    async fn round(&mut self, work: Work) -> Result<EngineRound, Failure> {
        let drive = self.args.node.workload.drive();
        let (floor, before) = (self.outside.floor().await?, self.server.used().await?);
        let began = Instant::now();
        let count = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let share = if drive == Drive::Queued { 0 } else { work.sagas.div_ceil(count) };
        let rate = work.rate.map(|rate| rate / f64::from(count));
        let mut nodes = self.tell(Order { sagas: share, seconds: work.seconds, rate }).await?;
        if drive != Drive::Closed {
            self.outside.drive(drive, floor, work).await?;
        }
        let wall_s = began.elapsed().as_secs_f64();
        let used = self.server.used().await?;
        // Adds the counts since each node carried out its own part.
        for (node, later) in nodes.iter_mut().zip(self.tell(Order::NOTHING).await?) {
            node.add(&later);
        }
        let slept = if drive == Drive::Timed { workload::SLEEP_MS as f64 / 1e3 } else { 0.0 };
        let ended = nodes.iter().map(|node| node.ended).sum::<f64>();
        let mut latencies_us: Vec<u64> = nodes.iter().flat_map(|node| node.latencies_us.iter().copied()).collect();
        if drive != Drive::Closed {
            latencies_us = self.outside.latencies_us(drive, ended as u32).await?;
        }
        let transitions = nodes.iter().map(|node| node.transitions).sum();
        let round = Round { transitions, wall_s: (wall_s - slept).max(1e-3), latencies_us };
        let (wal_bytes, postgres_cpu_s) = Used::since(&used, &before);
        Ok(EngineRound { round, nodes, wal_bytes, postgres_cpu_s, dead_rows: used.dead_rows })
    }

    /// Sends all nodes the same order and waits until each has carried it out.
    async fn tell(&mut self, order: Order) -> Result<Vec<Done>, Failure> {
        for node in &mut self.nodes {
            node.tell(order).await?;
        }
        let mut done = Vec::with_capacity(self.nodes.len());
        for node in &mut self.nodes {
            done.push(node.done().await?);
        }
        Ok(done)
    }
}
