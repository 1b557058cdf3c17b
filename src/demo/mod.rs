//! The demo: runs hotel checkouts on several nodes, with two participants that fail on purpose, kills one node, and
//! audits the result.
//!
//! Owns the command lines. The participants (`participant`, `server`, `service`, `ledger`) are programs of their own.
//! They ship in this binary and share nothing with amends but MCP.

mod audit;
mod chaos;
mod connection_drop;
mod effect;
mod evidence;
mod fault;
mod leave_stuck;
mod ledger;
mod node_url;
mod participant;
mod process;
mod processes;
mod report;
mod reported;
mod run;
mod server;
mod service;
mod tool;

use crate::cli::database::{DatabaseArgs, Place};
use crate::cli::failure::{Exit, Failure};
use crate::cli::interrupt::Interrupt;
use crate::cli::output::Output;
use crate::config::demo::{NODES_MAX, SAGAS_MAX};

pub use fault::Fault;
pub use participant::{DeskArgs, ParticipantArgs, Role};

/// Options of `amends demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// Number of checkouts.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=i64::from(SAGAS_MAX)))]
    pub sagas: u32,
    /// Number of nodes, each a process of its own.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=i64::from(NODES_MAX)))]
    pub nodes: u32,
    /// Seed of the faults: the same seed gives the same faults. Default: random, and printed.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Share of the participants' calls that fail on purpose, 0 to 1.
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    pub faults: f64,
    /// Kills one node with SIGKILL in mid-run. `--kill=false` keeps all nodes alive.
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          action = clap::ArgAction::Set)]
    pub kill: bool,
    /// Injects a failure every few seconds, in an order drawn from the seed, until all checkouts have ended or none
    /// has ended for a while: kills a node with SIGKILL and starts another, stops a node with SIGSTOP for longer than
    /// its lease, cuts all connections between nodes and database, or kills Postgres if it is the demo's own.
    #[arg(long)]
    pub chaos: bool,
    /// Port of 127.0.0.1 at which the first node serves `/metrics` and its other endpoints. The other nodes use the
    /// ports that follow. A replacement node takes the port of the node it replaces.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65_000))]
    pub metrics_port: Option<u16>,
    /// Makes one stuck saga of each kind instead, prints the remedy of each, and keeps a node running until Ctrl-C.
    #[arg(long, conflicts_with_all = ["sagas", "nodes", "seed", "faults", "kill", "chaos"])]
    pub leave_stuck: bool,
}

/// Runs the demo. The exit code says whether every promise was kept.
pub(crate) fn run(args: &DemoArgs, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    if args.leave_stuck {
        leave_stuck::run(args.metrics_port, database, output)
    } else {
        run::run(args, database, output)
    }
}

/// Runs one of the demo's participants until its caller is gone or a signal ends it; see [`Role`].
pub(crate) fn participant(args: ParticipantArgs) -> Result<Exit, Failure> {
    // The log goes to stderr: stdout may be the MCP transport.
    let logged = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .try_init();
    debug_assert!(logged.is_ok(), "a participant is a process of its own, so no logger is installed yet");
    // actix-web runs one event loop per thread; the rest of a participant's work is a few short transactions.
    let ended = actix_web::rt::System::new().block_on(participant::run(args));
    ended.map(|()| Exit::Done).map_err(|error| Failure::failed(error.to_string()))
}

/// Parses `TOOL=FAULT`.
fn always(text: &str) -> Result<(String, Fault), String> {
    let (tool, fault) = text.split_once('=').ok_or_else(|| format!("expected TOOL=FAULT, found {text:?}"))?;
    Ok((tool.to_owned(), fault.parse()?))
}

/// Parses a share between 0 and 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        Ok(_) | Err(_) => Err(format!("expected a number from 0 to 1, found {text:?}")),
    }
}
