//! The demo: a hotel checkout over two participants that fail on purpose, on several nodes of which one is
//! killed, and the audit of what is left. Owns the command lines; the participants (`participant`, `server`,
//! `desk`, `ledger`) are other programs that happen to ship in this binary, and share nothing with amends but
//! MCP.

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
    /// Checkouts to run.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=i64::from(SAGAS_MAX)))]
    pub sagas: u32,
    /// Nodes to run them on, each a process of its own.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=i64::from(NODES_MAX)))]
    pub nodes: u32,
    /// Seed of the faults: the same seed, the same faults. Default: drawn by chance, and printed.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Share of the participants' calls that go wrong, 0 to 1.
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    pub faults: f64,
    /// Kills one node with SIGKILL in mid-run; `--kill=false` leaves all alive.
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          action = clap::ArgAction::Set)]
    pub kill: bool,
    /// Until the checkouts have ended, or none ends any more, every few seconds makes trouble, in an order drawn
    /// from the seed: kills a node with SIGKILL and puts another in its place; stops one with SIGSTOP for longer
    /// than its lease; cuts all connections between nodes and database; kills Postgres, if it is the demo's own.
    #[arg(long)]
    pub chaos: bool,
    /// Nodes serve their metrics, and their other doors, at this port of 127.0.0.1 and those that follow; whoever
    /// replaces a node does so at its port.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65_000))]
    pub metrics_port: Option<u16>,
    /// Instead makes one saga for each way of needing a person, says how to remedy each, and keeps a node
    /// running until Ctrl-C.
    #[arg(long, conflicts_with_all = ["sagas", "nodes", "seed", "faults", "kill", "chaos"])]
    pub leave_stuck: bool,
}

/// Runs the demo; its exit says whether every promise was kept.
pub(crate) fn run(args: &DemoArgs, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    if args.leave_stuck {
        leave_stuck::run(args.metrics_port, database, output)
    } else {
        run::run(args, database, output)
    }
}

/// Runs one of the demo's participants until its caller is gone; see [`Role`].
pub(crate) fn participant(args: ParticipantArgs) -> Result<Exit, Failure> {
    // Ours, not the protocol's: stdout may be the transport.
    let logged = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .try_init();
    debug_assert!(logged.is_ok(), "a participant is a process of its own, so nobody logs before it");
    // actix-web wants one thread per event loop; the other work of a participant is a few short transactions.
    let ended = actix_web::rt::System::new().block_on(participant::run(args));
    ended.map(|()| Exit::Done).map_err(|error| Failure::failed(error.to_string()))
}

/// Reads a tool and what goes wrong with it.
fn always(text: &str) -> Result<(String, Fault), String> {
    let (tool, fault) = text.split_once('=').ok_or_else(|| format!("expected TOOL=FAULT, found {text:?}"))?;
    Ok((tool.to_owned(), fault.parse()?))
}

/// Reads a share between 0 and 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        Ok(_) | Err(_) => Err(format!("expected a number from 0 to 1, found {text:?}")),
    }
}
