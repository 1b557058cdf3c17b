//! `amends mcp`: serves sagas as MCP tools on stdin and stdout, for hosts that start their servers. Owns the choice
//! between a node in this process and a node elsewhere.

use super::database::{DatabaseArgs, Schema};
use super::failure::{Exit, Failure};
use super::serve::{self, Face, Http};
use super::{log, memory};
use crate::client::Client;
use crate::mcp::Door;

/// Options of `amends mcp`: the options of `amends serve`. HTTP is off unless an address is given.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    #[command(flatten)]
    node: serve::Args,
    /// Runs no node in this process; a node on the same database executes the sagas (amends serve).
    #[arg(long)]
    no_node: bool,
}

/// Serves one client until its input ends.
pub(super) fn run(mut args: Args, database: &DatabaseArgs) -> Result<Exit, Failure> {
    memory::close();
    args.node.http.get_or_insert(Http::Off);
    let catalog = serve::read(&args.node, database)?;
    if !args.no_node {
        return serve::carry(catalog, &args.node, database, Face::Streams);
    }
    log::start(&catalog.settings.log, catalog.settings.filter())?;
    let config = serve::door(&catalog.settings.mcp, None)?;
    database.or_settings(&catalog.settings.database).run(Schema::Current, async |store| {
        let door = Door::open(Client::new(store.clone()), config).await;
        let door = door.map_err(|error| Failure::failed(format!("cannot open the MCP endpoint: {error}")))?;
        let served = door.serve_stdio().await;
        door.close().await;
        served.map_err(|error| Failure::failed(format!("MCP on stdin and stdout: {error}")))?;
        Ok(Exit::Done)
    })
}
