//! `amends postgres`: runs the embedded Postgres in the foreground until SIGINT or SIGTERM.
//!
//! Leaves starting and stopping to the room `postgres`.

use serde_json::json;

use super::database::DatabaseArgs;
use super::failure::{Exit, Failure};
use super::interrupt::Interrupt;
use super::output::Output;
use crate::postgres::Role;

/// Options of `amends postgres`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Prints the URL, waits for SIGINT or SIGTERM, and leaves the cluster.
pub(super) fn run(_args: &Args, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(|error| Failure::failed(format!("cannot wait for signals: {error}")))?;
    // From here on, a signal waits until Postgres has started, so that no start is cut off.
    let mut interrupt = Interrupt::catch(&runtime)?;
    let embedded = database.settled()?.embedded()?;
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
    runtime.block_on(interrupt.next());
    embedded.stop()?;
    Ok(Exit::Done)
}
