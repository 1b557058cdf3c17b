//! `amends postgres`: runs the embedded Postgres in the foreground. Owns waiting for the end; the launcher
//! does the rest.

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::database::DatabaseArgs;
use super::failure::{Exit, Failure};
use super::output::Output;
use crate::postgres::Role;

/// Options of `amends postgres`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Prints the URL, then waits for SIGINT or SIGTERM and leaves the cluster.
pub(super) fn run(_args: &Args, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let cannot = |error| Failure::failed(format!("cannot wait for signals: {error}"));
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_io().build().map_err(cannot)?;
    // From here on a signal waits for its turn, so that Postgres is never left half started.
    let (mut terminate, mut interrupt) = {
        let _context = runtime.enter();
        let terminate = signal(SignalKind::terminate()).map_err(cannot)?;
        (terminate, signal(SignalKind::interrupt()).map_err(cannot)?)
    };
    let embedded = database.embedded()?;
    let role = match embedded.role() {
        Role::Owner => "owner",
        Role::Guest => "guest",
    };
    if output.is_json() {
        output.value(&json!({ "url": embedded.url(), "role": role, "log": embedded.log() }))?;
    } else {
        output.line(embedded.url())?;
        output.remark("Stop with Ctrl-C.");
    }
    runtime.block_on(async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    embedded.stop()?;
    Ok(Exit::Done)
}
