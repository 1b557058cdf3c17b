//! The demo's participants as programs of their own: payments over stdio, the CRM over streamable HTTP. Owns their
//! start and stop. `service.rs` serves calls, `server.rs` speaks MCP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpMessage, HttpServer, web};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::{ServiceExt, transport};
use rmcp_actix_web::transport::StreamableHttpService;

use super::connection_drop::{self, Cut};
use super::fault::{Fault, FaultPlan};
use super::ledger::{self, Ledger};
use super::server::Server;
use super::service::Desk;
use super::tool;
use crate::config::demo::{DRAIN, SLOW};

/// Schema of the payments ledger.
pub(super) const PAYMENTS_SCHEMA: &str = "demo_payments";
/// Schema of the CRM ledger.
pub(super) const CRM_SCHEMA: &str = "demo_crm";

/// Arguments of `amends demo-participant`.
#[derive(Clone, Debug, clap::Args)]
pub struct ParticipantArgs {
    /// Which participant to run.
    #[command(subcommand)]
    pub role: Role,
}

/// The participants of the demo.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Role {
    /// The payments server: MCP over stdio.
    Payments(DeskArgs),
    /// The CRM: MCP over streamable HTTP, at the path `/mcp`.
    Crm {
        /// Address to listen on.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Options that every participant takes.
        #[command(flatten)]
        desk: DeskArgs,
    },
}

/// Options that every participant takes.
#[derive(Clone, Debug, clap::Args)]
pub struct DeskArgs {
    /// URL of the Postgres that holds the ledger, as `postgres://...` or `key=value ...`.
    #[arg(long, env = "AMENDS_DEMO_LEDGER_URL", hide_env_values = true)]
    pub ledger_url: String,
    /// Seed of the faults.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Share of calls that fail on purpose, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = super::share)]
    pub faults: f64,
    /// Kinds of fault to draw. Default: all that fit the tool.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Fault>,
    /// Tools that fail at every call, and how: `TOOL=FAULT`.
    #[arg(long, value_name = "TOOL=FAULT", value_parser = super::always)]
    pub always: Vec<(String, Fault)>,
    /// Delay of a slow call's effect after the call came in, in milliseconds.
    #[arg(long, default_value_t = SLOW.as_millis() as u64)]
    pub slow_ms: u64,
}

/// Error that keeps a participant from serving.
#[derive(Debug, thiserror::Error)]
pub(super) enum ParticipantError {
    /// The ledger could not be opened.
    #[error(transparent)]
    Ledger(#[from] super::ledger::LedgerError),
    /// The schema of a tool is invalid.
    #[error("{0}")]
    Schema(String),
    /// The port could not be bound, or the server failed.
    #[error("serving over HTTP: {0}")]
    Http(#[from] std::io::Error),
    /// The MCP handshake failed.
    #[error("serving over stdio: {0}")]
    Stdio(String),
}

/// Runs a participant until its caller closes stdin, or a signal ends it.
pub(super) async fn run(args: ParticipantArgs) -> Result<(), ParticipantError> {
    match args.role {
        Role::Payments(args) => payments(args).await,
        Role::Crm { listen, desk } => crm(listen, desk).await,
    }
}

async fn payments(args: DeskArgs) -> Result<(), ParticipantError> {
    let desk = open(&args, PAYMENTS_SCHEMA, tool::PAYMENTS).await?;
    let server = Server::new("amends-demo-payments", Arc::clone(&desk));
    let running = server.serve(transport::stdio()).await.map_err(|error| ParticipantError::Stdio(error.to_string()))?;
    let _ = running.waiting().await;
    // The caller is gone, but its late effects still land.
    desk.close(DRAIN).await;
    Ok(())
}

async fn crm(listen: SocketAddr, args: DeskArgs) -> Result<(), ParticipantError> {
    let desk = open(&args, CRM_SCHEMA, tool::CRM).await?;
    let server = Server::new("amends-demo-crm", Arc::clone(&desk));
    let service = StreamableHttpService::builder()
        .service_factory(Arc::new(move || Ok(server.clone())))
        .session_manager(Arc::new(LocalSessionManager::default()))
        .on_request_fn(|request, extensions| {
            if let Some(cut) = request.extensions().get::<Cut>() {
                extensions.insert(cut.clone());
            }
        })
        .build();
    let http = HttpServer::new(move || {
        App::new().service(web::scope("/mcp").wrap(from_fn(connection_drop::cuttable)).service(service.clone().scope()))
    })
    .workers(1)
    .shutdown_timeout(DRAIN.as_secs())
    .bind(listen)?;
    // The one line that the caller reads: with port 0 it tells where the server is.
    for address in http.addrs() {
        println!("http://{address}/mcp");
    }
    http.run().await?;
    desk.close(DRAIN).await;
    Ok(())
}

async fn open(
    args: &DeskArgs,
    schema: &'static str,
    tools: &'static [tool::Tool],
) -> Result<Arc<Desk>, ParticipantError> {
    let config = ledger::config(&args.ledger_url)?;
    let ledger = Ledger::open(config, schema).await?;
    let plan = FaultPlan { seed: args.seed, rate: args.faults, only: args.only.clone(), always: args.always.clone() };
    let desk = Desk::new(ledger, plan, Duration::from_millis(args.slow_ms), tools).map_err(ParticipantError::Schema)?;
    Ok(Arc::new(desk))
}
