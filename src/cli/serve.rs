//! `amends serve`: a node. Owns reading the settings, starting in order and stopping on a signal; what a node does is the runtime's.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::database::DatabaseArgs;
use super::failure::{Exit, Failure};
use super::output::{Output, lines};
use crate::catalog::{self, Catalog, Environment, LogFormat, LogSettings};
use crate::http::{Door, Server};
use crate::metrics;
use crate::runtime::Runtime;

/// Settings file that is taken when none is named and it is there.
const SETTINGS_FILE: &str = "amends.yaml";
/// Exit code after a second signal.
const INTERRUPTED: i32 = 130;

/// Options of `amends serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Settings: participants, definitions, node. Default: amends.yaml in this folder, if there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Name of the node in lists and logs. Default: the settings', else the host's name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Address of /metrics, /healthz and /readyz, or `off`. Default: the settings', else 127.0.0.1:7171.
    #[arg(long, value_name = "ADDRESS")]
    http: Option<String>,
}

/// Runs a node until SIGTERM or SIGINT; a second signal stops at once.
pub(super) fn run(args: &Args, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let catalog = load(args)?;
    log_to_stderr(&catalog.settings.log);
    let address = match args.http.as_deref() {
        None => catalog.settings.http.address,
        Some("off") => None,
        Some(text) => Some(text.parse().map_err(|_| {
            Failure::usage(format!(
                "expected an address such as 127.0.0.1:7171 or `off` for --http, found {text:?}"
            ))
        })?),
    };
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    // From here on a signal waits for its turn, so that nothing is left half started.
    let mut signals = {
        let _context = executor.enter();
        Signals::listen()?
    };
    let place = database.or_settings(&catalog.settings.database).open()?;
    let served = executor.block_on(serve(catalog, args, place.url(), address, &mut signals, output));
    drop(executor);
    place.close()?;
    served
}

fn load(args: &Args) -> Result<Catalog, Failure> {
    let environment = Environment::of_process();
    let file = match &args.config {
        Some(file) => Some(file.as_path()),
        None => Some(Path::new(SETTINGS_FILE)).filter(|file| file.exists()),
    };
    match file {
        Some(file) => catalog::load(file, &environment).map_err(|faults| Failure::failed(faults.to_string())),
        None => Ok(Catalog::default()),
    }
}

async fn serve(
    catalog: Catalog,
    args: &Args,
    database_url: &str,
    address: Option<std::net::SocketAddr>,
    signals: &mut Signals,
    output: &Output,
) -> Result<Exit, Failure> {
    let Catalog { settings, definitions } = catalog;
    let exposition = metrics::install();
    let mut builder = Runtime::builder(database_url)
        .lanes(settings.node.lanes)
        .residents_max(settings.node.actors_max)
        .lease(Duration::from_millis(settings.node.lease_ms))
        .participants(settings.participants)
        .definitions(definitions);
    if let Some(name) = args.name.clone().or(settings.node.name) {
        builder = builder.name(name);
    }
    let runtime = builder.begin().await?;
    for (definition, missing) in runtime.unable() {
        tracing::warn!(definition, missing = missing.join(", "), "this node cannot run a definition");
    }
    let readiness = {
        let runtime = runtime.clone();
        Arc::new(move || runtime.complaints())
    };
    let http = match address {
        None => None,
        Some(address) => Some(
            Server::start(address, Door { metrics: exposition, readiness })
                .map_err(|error| Failure::failed(error.to_string()))?,
        ),
    };
    let shown = http.as_ref().map_or("no HTTP".to_owned(), |http| format!("http://{}", http.address()));
    let name = runtime.name();
    tracing::info!(node.name = name, http = shown, "node takes sagas");
    output.remark(&lines(&format!("amends node {name} takes sagas; {shown}; stop with Ctrl-C")));

    signals.next().await;
    tracing::info!("stopping: attempts may end within the grace period; a second signal stops at once");
    let grace = Duration::from_millis(settings.node.grace_period_ms);
    let stopped = tokio::select! {
        stopped = runtime.stop(grace) => stopped,
        () = signals.next() => {
            tracing::warn!("stopped at once; other nodes take over");
            std::process::exit(INTERRUPTED);
        }
    };
    match stopped {
        Ok(true) => tracing::info!("node stopped, everything was handed back"),
        Ok(false) => tracing::warn!("node stopped, other nodes take over what was left"),
        Err(error) => tracing::warn!(%error, "node stopped without saying goodbye, other nodes take over"),
    }
    if let Some(http) = http {
        http.stop().map_err(|error| Failure::failed(error.to_string()))?;
    }
    Ok(Exit::Done)
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let cannot = |error| Failure::failed(format!("cannot wait for signals: {error}"));
        let terminate = signal(SignalKind::terminate()).map_err(cannot)?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt()).map_err(cannot)? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Logs go to stderr, so that stdout is for answers. `RUST_LOG` overrides the settings' level.
fn log_to_stderr(settings: &LogSettings) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(&settings.level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // A subscriber that is there already is the embedding program's; it stays.
    let _ = match settings.format {
        LogFormat::Text => builder.with_ansi(colour).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
