//! `amends serve`: runs a node. Reads the settings, starts the parts in order and stops them on a signal.
//!
//! Leaves the work of the node to the runtime.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use super::database::DatabaseArgs;
use super::failure::{Exit, Failure};
use super::interrupt::Interrupt;
use super::output::{Output, harmless};
use super::{log, memory, value};
use crate::catalog::{
    self, Catalog, Environment, LogFormat, McpSettings, MetricsSettings, NodeSettings, OauthSettings,
};
use crate::config::actor::Idle;
use crate::http::{Door, Mount, Server, Shows};
use crate::peer::is_loopback;
use crate::runtime::Runtime;
use crate::{files, mcp, metrics};

/// Options of `amends serve`. Each option overrides the settings.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files, folders and patterns of definitions, in addition to those of the settings.
    #[arg(value_name = "FILES")]
    definitions: Vec<PathBuf>,
    /// Name of the node in lists and logs. Default: the name in the settings, else the name of the host.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Address of /metrics, /healthz and /readyz (port 0: any free port), or `off`. Default: the address in the
    /// settings, else 127.0.0.1:7171.
    #[arg(long, value_name = "ADDRESS", value_parser = http_address)]
    pub(super) http: Option<Http>,
    /// Number of lanes, each with its own connection for commits. Default: the number in the settings, else 2.
    #[arg(long, value_name = "N")]
    lanes: Option<usize>,
    /// Time for running attempts to end after SIGTERM, such as 30s. Default: the time in the settings, else 30s.
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    grace: Option<Duration>,
    /// Does not migrate the schema; refuses to run if the schema is not up to date. No effect on an embedded
    /// Postgres.
    #[arg(long)]
    no_migrate: bool,
    /// Log level: error, warn, info, debug, trace, or directives. Default: AMENDS_LOG, else the level in the
    /// settings.
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// Logs JSON, one object per line.
    #[arg(long)]
    log_json: bool,
}

/// Address of the HTTP server, or off.
#[derive(Clone, Copy, Debug)]
pub(super) enum Http {
    Off,
    At(SocketAddr),
}

fn http_address(text: &str) -> Result<Http, String> {
    if text == "off" {
        return Ok(Http::Off);
    }
    let expected = "expected an address with a port, such as 127.0.0.1:7171, or `off`";
    text.parse().map(Http::At).map_err(|_| expected.to_owned())
}

/// Runs a node until SIGTERM or SIGINT. A second signal stops it at once.
pub(super) fn run(args: &Args, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    memory::close();
    carry(read(args, database)?, args, database, Face::Network(output))
}

/// How callers reach a node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Face<'a> {
    /// Over HTTP, until a signal. Writes to this output that the node is up.
    Network(&'a Output),
    /// Over MCP on stdin and stdout, until the input ends or a signal comes. Also over HTTP, if there is an address.
    Streams,
}

/// Runs a node with its HTTP server and its MCP endpoint.
pub(super) fn carry(catalog: Catalog, args: &Args, database: &DatabaseArgs, face: Face<'_>) -> Result<Exit, Failure> {
    log::start(&catalog.settings.log, catalog.settings.filter())?;
    memory::forget_secrets(&catalog.settings);
    raise_limit_of_files();
    // The node has its own threads. This thread only waits.
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let mut interrupt = Interrupt::catch(&executor)?;
    let place = database.or_settings(&catalog.settings.database).open()?;
    let address = catalog.settings.http.address;
    let mounted = catalog.settings.mcp.enabled;
    let shown = catalog.settings.metrics.clone();
    let agents = door(&catalog.settings.mcp, address.filter(|_| mounted))?;
    let (authenticate, over_http) = (catalog.settings.mcp.authenticate, mounted && address.is_some());
    let grace = Duration::from_millis(catalog.settings.node.grace_period_ms);
    // An embedded database belongs to amends, so it is always migrated.
    let migrate = place.is_embedded() || !args.no_migrate;
    let served = executor.block_on(async {
        let runtime = tokio::select! {
            runtime = begin(catalog, place.url(), migrate) => runtime?,
            () = interrupt.next() => return Ok(Exit::Interrupted),
        };
        let draining = Arc::new(AtomicBool::new(false));
        let agents = match guarded(&runtime, agents, authenticate, over_http).await {
            Ok(config) => mcp::Door::open(runtime.client().clone(), config)
                .await
                .map_err(|error| Failure::failed(format!("cannot open the MCP endpoint: {error}"))),
            Err(failure) => Err(failure),
        };
        let opened = match &agents {
            Ok(agents) => {
                let mounts: Vec<Mount> = if mounted { vec![Arc::new(agents.routes())] } else { Vec::new() };
                open(&runtime, Addresses { http: address, metrics: shown }, &draining, mounts, face)
            }
            Err(failure) => Err(failure.clone()),
        };
        let mut ended = Ok(());
        if let (Ok(_), Ok(agents)) = (&opened, &agents) {
            ended = match face {
                Face::Network(_) => {
                    interrupt.next().await;
                    Ok(())
                }
                Face::Streams => tokio::select! {
                    () = interrupt.next() => Ok(()),
                    ended = agents.serve_stdio() => ended,
                },
            };
            // Callers that wait for a saga learn that it continues, before the node stops.
            agents.stop();
        }
        draining.store(true, Ordering::Relaxed);
        drain(&runtime, grace, &mut interrupt).await;
        if let Ok(agents) = &agents {
            agents.close().await;
        }
        for server in opened? {
            server.stop()?;
        }
        ended.map_err(|error| Failure::failed(format!("MCP on stdin and stdout: {error}")))?;
        Ok(Exit::Done)
    });
    // A normal shutdown would wait for a pending read of stdin.
    executor.shutdown_background();
    match place.close() {
        Err(error) if served.is_ok() => Err(error),
        _ => served,
    }
}

/// Raises the limit of open files as far as it may be raised. Connections of clients get a part of it, so that calls
/// of participants and the database always find a descriptor.
fn raise_limit_of_files() {
    match files::raise_limit() {
        Ok((before, now)) => {
            tracing::info!(before = before.soft, now = now.soft, hard = now.hard, "limit of open files")
        }
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}

/// Reads settings and definitions. Options override the settings.
pub(super) fn read(args: &Args, database: &DatabaseArgs) -> Result<Catalog, Failure> {
    let mut catalog = match database.settings_file() {
        Some(file) => catalog::load(file, &Environment::of_process())?,
        None => Catalog::default(),
    };
    if !args.definitions.is_empty() {
        catalog.definitions.extend(catalog::load_definitions(&args.definitions)?);
    }
    let settings = &mut catalog.settings;
    match args.http {
        Some(Http::Off) => (settings.http.address, settings.metrics.address) = (None, None),
        Some(Http::At(address)) => settings.http.address = Some(address),
        None => {}
    }
    if let Some(grace) = args.grace {
        settings.node.grace_period_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    }
    if let Some(level) = args.log.clone().or_else(|| std::env::var("AMENDS_LOG").ok()) {
        settings.log.level = level;
    }
    if args.log_json {
        settings.log.format = LogFormat::Json;
    }
    settings.node.lanes = args.lanes.unwrap_or(settings.node.lanes);
    settings.node.name = args.name.clone().or_else(|| settings.node.name.take());
    Ok(catalog)
}

/// Returns the configuration of the MCP endpoint for HTTP at this address. Fails if `mcp.auth` is `none` although
/// callers on other machines are expected.
pub(super) fn door(settings: &McpSettings, address: Option<SocketAddr>) -> Result<mcp::Config, Failure> {
    let outside = address.filter(|address| !is_loopback(address.ip()));
    if let (Some(false), Some(address)) = (settings.authenticate, outside) {
        let message = format!(
            "mcp.auth is `none`, but other machines can reach {address}; set mcp.auth: bearer and create tokens \
             (amends token add), listen on 127.0.0.1, or set mcp.enabled: false"
        );
        return Err(Failure::usage(message));
    }
    let expects_others = outside.is_some() || !settings.names_others().is_empty();
    let authenticate = settings.authenticate.unwrap_or(expects_others);
    let issuer = settings.oauth.clone().map(|oauth| {
        let OauthSettings { issuer, audience, jwks_url, scopes } = oauth;
        mcp::Issuer { issuer, audience, jwks_url, scopes }
    });
    let own = address.map(|address| address.ip()).filter(|ip| !ip.is_unspecified());
    if authenticate && own.is_none() && settings.hosts.is_empty() && address.is_some() {
        tracing::warn!("mcp.hosts is empty: /mcp answers only requests for localhost");
    }
    Ok(mcp::Config {
        wait: Duration::from_millis(settings.wait_ms),
        dedupe: settings.dedupe_ms.map(Duration::from_millis),
        trust: if authenticate { mcp::Trust::Bearer(issuer) } else { mcp::Trust::Everybody },
        local: mcp::Grants::of_scopes(settings.local_scopes.iter().map(String::as_str)),
        hosts: settings.hosts.iter().cloned().chain(own.map(|ip| ip.to_string())).collect(),
        origins: settings.origins.clone(),
        requests_per_minute: settings.requests_per_minute,
    })
}

/// Looks whether there are tokens, which say that callers have to authenticate. Fails if `mcp.auth: none` contradicts a
/// live one. Without `mcp.auth`, tokens that no longer live count too: one that expires opens nothing.
async fn guarded(
    runtime: &Runtime,
    config: mcp::Config,
    authenticate: Option<bool>,
    over_http: bool,
) -> Result<mcp::Config, Failure> {
    if !over_http || !matches!(config.trust, mcp::Trust::Everybody) {
        return Ok(config);
    }
    let store = runtime.client().store().clone();
    let known = runtime.client().work().spawn(async move { store.known_access_tokens().await }).await;
    let known = known.map_err(|_| Failure::failed("the runtime was stopped"))??;
    match authenticate {
        Some(_) if known.live => Err(Failure::usage(
            "mcp.auth is `none`, but there are live tokens (amends token list), so callers are expected to \
             authenticate; remove mcp.auth, or revoke the tokens (amends token revoke)",
        )),
        None if known.any => Ok(mcp::Config { trust: mcp::Trust::Bearer(None), ..config }),
        Some(_) | None => Ok(config),
    }
}

async fn begin(catalog: Catalog, database_url: &str, migrate: bool) -> Result<Runtime, Failure> {
    let Catalog { settings, definitions } = catalog;
    let mut builder = Runtime::builder(database_url)
        .lanes(settings.node.lanes)
        .pool(settings.database.pool)
        .residents_max(settings.node.actors_max)
        .wake(settings.node.wake)
        .lease(Duration::from_millis(settings.node.lease_ms))
        .participants(settings.participants)
        .definitions(definitions);
    let NodeSettings { idle, idle_after_ms, idle_ms_max, .. } = settings.node;
    if idle == Idle::Sleep {
        builder = builder.sleep_when_idle(Duration::from_millis(idle_after_ms), Duration::from_millis(idle_ms_max));
    }
    if let Some(collector) = settings.traces.otlp {
        builder = builder.traces(collector.expose());
    }
    let key = settings.journal.chain_key.as_ref().map(|key| key.expose());
    builder = match (settings.journal.chain, key) {
        (true, key) => builder.chain(key),
        (false, Some(key)) => builder.chain_key(key),
        (false, None) => builder,
    };
    if let Some(name) = settings.node.name {
        builder = builder.name(name);
    }
    if !migrate {
        builder = builder.without_migration();
    }
    Ok(builder.begin().await?)
}

/// Where a node is reached, and what it shows there.
struct Addresses {
    http: Option<SocketAddr>,
    metrics: MetricsSettings,
}

impl Addresses {
    /// Returns what the server for callers shows, and what the server for operators does.
    fn shows(&self) -> (Shows, Shows) {
        let named = |by_default: bool| match self.metrics.names.unwrap_or(by_default) {
            true => Shows::Everything,
            false => Shows::NoNames,
        };
        let is_local = self.http.is_none_or(|address| is_loopback(address.ip()));
        let for_callers = if self.metrics.address.is_some() { Shows::Nothing } else { named(is_local) };
        (for_callers, named(true))
    }
}

/// Starts the HTTP servers and reports that the node is up.
fn open(
    runtime: &Runtime,
    addresses: Addresses,
    draining: &Arc<AtomicBool>,
    mounts: Vec<Mount>,
    face: Face<'_>,
) -> Result<Vec<Server>, Failure> {
    for (definition, missing) in runtime.unrunnable_definitions() {
        let missing = missing.join(", ");
        tracing::warn!(definition, missing, "this node cannot run a definition; other nodes may");
    }
    let (watched, draining) = (runtime.clone(), Arc::clone(draining));
    let readiness = Arc::new(move || {
        let mut reasons = watched.health_issues();
        if draining.load(Ordering::Relaxed) {
            reasons.push("the node is stopping".to_owned());
        }
        reasons
    });
    let (for_callers, for_operators) = addresses.shows();
    let door = |shows, mounts| Door { metrics: metrics::install(), readiness: readiness.clone(), shows, mounts };
    let start = |address: Option<SocketAddr>, door| address.map(|address| Server::start(address, door)).transpose();
    let http = start(addresses.http, door(for_callers, mounts))?;
    let own = start(addresses.metrics.address, door(for_operators, Vec::new()))?;
    let (name, address) = (runtime.name(), http.as_ref().map(Server::address));
    let shown = address.map_or_else(|| "no HTTP".to_owned(), |address| format!("http://{address}"));
    let metrics_address = own.as_ref().map(Server::address);
    let metrics_shown = metrics_address.map(tracing::field::display);
    tracing::info!(node.name = name, http = shown, metrics = metrics_shown, "node takes sagas");
    match face {
        Face::Network(output) if output.is_json() => {
            let mut said = json!({ "node": name, "http": address });
            if let Some(address) = metrics_address {
                said["metrics"] = json!(address);
            }
            output.value(&said)?;
        }
        Face::Network(output) => output.line(&format!("node {} takes sagas; {shown}", harmless(name)))?,
        // Stdout belongs to the protocol.
        Face::Streams => {}
    }
    Ok(http.into_iter().chain(own).collect())
}

/// Stops the node and hands back its sagas. On a second signal, the process exits at once and other nodes take over.
async fn drain(runtime: &Runtime, grace: Duration, interrupt: &mut Interrupt) {
    tracing::info!("stopping: attempts may end within the grace period; a second signal stops the node at once");
    let stopped = tokio::select! {
        stopped = runtime.stop(grace) => stopped,
        () = interrupt.next() => {
            tracing::warn!("stopped at once; other nodes take over its sagas");
            std::process::exit(Exit::Interrupted.code().into());
        }
    };
    match stopped {
        Ok(true) => tracing::info!("node stopped; all its sagas are handed back"),
        Ok(false) => tracing::warn!("node stopped; other nodes take over its remaining sagas"),
        Err(error) => tracing::warn!(%error, "node stopped, but is still listed as live; other nodes take over"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_reach_shows_no_names_unless_asked() {
        let shows = |http: &str, own: Option<&str>, names| {
            let address = own.map(|own| own.parse().unwrap());
            Addresses { http: Some(http.parse().unwrap()), metrics: MetricsSettings { address, names } }.shows()
        };
        let (local, public) = ("127.0.0.1:1", "0.0.0.0:1");
        assert_eq!(shows(local, None, None).0, Shows::Everything);
        assert_eq!(shows(local, None, Some(false)).0, Shows::NoNames);
        assert_eq!(shows(public, None, None).0, Shows::NoNames);
        assert_eq!(shows(public, None, Some(true)).0, Shows::Everything);
        assert_eq!(shows(public, Some("10.0.0.1:2"), None), (Shows::Nothing, Shows::Everything));
        assert_eq!(shows(public, Some(public), Some(false)), (Shows::Nothing, Shows::NoNames));
    }
}
