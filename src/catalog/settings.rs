//! The settings of a node: `amends.yaml` as values, with defaults, and which texts are secrets. The shape is
//! `settings.schema.json`.
//!
//! Leaves connecting to the rooms that use the settings.

mod mcp;
mod read;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

pub use mcp::{McpSettings, OauthSettings, is_secure_url};

use super::environment::Environment;
use super::fault::{Faults, LocatedFault};
use super::source::Source;
use super::yaml::Node;
use crate::config::actor::{IDLE_AFTER_MS, IDLE_MS_MAX, Idle, LANES, LEASE_MS, RESIDENTS_MAX, Wake};
use crate::config::catalog::GRACE_PERIOD_MS_DEFAULT;
use crate::config::store::POOL_CONNECTIONS;
use crate::participant::{Filter, ParticipantConfig, Secret};
use crate::saga::definition::Millis;

/// Settings of one node. The default is the settings without a file.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Participants that steps call.
    pub participants: Vec<ParticipantConfig>,
    /// Files, folders and patterns of definitions. Relative paths are already joined to the folder of the settings
    /// file.
    pub definitions: Vec<PathBuf>,
    /// Database that records the sagas.
    pub database: DatabaseSettings,
    /// This node among others.
    pub node: NodeSettings,
    /// HTTP server of the node.
    pub http: HttpSettings,
    /// Metrics and health of the node.
    pub metrics: MetricsSettings,
    /// MCP endpoint for agents.
    pub mcp: McpSettings,
    /// Level and format of the log.
    pub log: LogSettings,
    /// Export of sagas as trace spans.
    pub traces: TracesSettings,
    /// How journals are written.
    pub journal: JournalSettings,
}

impl Settings {
    /// Returns a filter that removes secrets from any text: the values put in from the environment for participants,
    /// the database URL and the collector URL.
    pub fn filter(&self) -> Filter {
        Filter::from_secrets(self.secrets())
    }

    /// Returns every text that may hold a secret.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let of_participants = self.participants.iter().flat_map(|participant| participant.transport.secrets());
        let of_journal = self.journal.chain_key.iter().chain(&self.journal.former_chain_keys);
        of_participants.chain(&self.database.url).chain(&self.traces.otlp).chain(of_journal)
    }
}

/// Database that records the sagas.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// Postgres URL. Default: none; then `DATABASE_URL` is used, else the embedded Postgres.
    pub url: Option<Secret>,
    /// Most pooled connections. Lanes have their own connections. Default: 8.
    pub pool: usize,
    /// Folder of the embedded Postgres. Default: none; then the platform's data folder is used.
    pub data_dir: Option<PathBuf>,
}

/// This node among others on the same database.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// Name in lists and logs. Default: none; then the name of the host is used.
    pub name: Option<String>,
    /// Number of lanes, each with its own connection for commits. Default: 2.
    pub lanes: usize,
    /// Most sagas that run on this node at the same time. Default: 10,000.
    pub actors_max: usize,
    /// Time without a heartbeat until other nodes declare this node dead, in milliseconds. Default: 8,000.
    pub lease_ms: Millis,
    /// How the node learns that there is something to do. Default: it polls.
    pub wake: Wake,
    /// What the node does while it has nothing to do. Default: it polls.
    pub idle: Idle,
    /// Time without anything to do before the node sleeps, in milliseconds. Default: 30,000.
    pub idle_after_ms: Millis,
    /// Longest sleep, in milliseconds. Default: 900,000.
    pub idle_ms_max: Millis,
    /// Time for running attempts to end after SIGTERM, in milliseconds. Default: 30,000.
    pub grace_period_ms: Millis,
}

/// HTTP server of the node.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Address of the listener. `None` if HTTP is switched off. Default: 127.0.0.1:7171.
    pub address: Option<SocketAddr>,
}

/// Metrics and health of the node.
#[derive(Clone, Debug, Default)]
pub struct MetricsSettings {
    /// Address of their own. Default: none; then they are served on the address of the HTTP server.
    pub address: Option<SocketAddr>,
    /// Whether they tell names of definitions and steps, and why the node is not ready. Default: none; then they do
    /// on an address of their own and on loopback.
    pub names: Option<bool>,
}

/// Export of sagas as trace spans.
#[derive(Clone, Debug, Default)]
pub struct TracesSettings {
    /// URL of an OTLP collector. Default: none; then no spans are sent.
    pub otlp: Option<Secret>,
}

/// How journals are written.
#[derive(Clone, Debug, Default)]
pub struct JournalSettings {
    /// Whether the journals of sagas that begin on this node are chained. Default: false.
    pub chain: bool,
    /// Key of the chains. Default: none; then a login that may change a journal can make its chain again.
    pub chain_key: Option<Secret>,
    /// Earlier keys, for `amends verify`. Default: none.
    pub former_chain_keys: Vec<Secret>,
}

/// Level and format of the log.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Level, or directives of `tracing`. Default: `info`.
    pub level: String,
    /// Format of a log line. Default: text.
    pub format: LogFormat,
}

/// Format of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object per line.
    Json,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self { url: None, pool: POOL_CONNECTIONS, data_dir: None }
    }
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            name: None,
            lanes: LANES,
            actors_max: RESIDENTS_MAX,
            lease_ms: LEASE_MS,
            wake: Wake::default(),
            idle: Idle::default(),
            idle_after_ms: IDLE_AFTER_MS,
            idle_ms_max: IDLE_MS_MAX,
            grace_period_ms: GRACE_PERIOD_MS_DEFAULT,
        }
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, HTTP_PORT))) }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// Default port of the HTTP server.
const HTTP_PORT: u16 = 7171;

/// Settings and their YAML node.
pub(super) struct Located {
    pub(super) node: Node,
    pub(super) settings: Settings,
}

/// Parses settings from a text. `file` is the file name in the faults. Relative paths in the text start at the folder
/// of `file`.
///
/// # Errors
///
/// Returns all faults, sorted by line: of the syntax, of the shape, of references to the environment, and of secrets
/// in plain text.
pub fn parse_settings(file: &str, text: &str, environment: &Environment) -> Result<Settings, Faults> {
    let (located, faults) = read(Source::of_text(file, text), environment);
    faults.or(located.settings)
}

/// Reads the settings of a source. Returns the valid parts together with the faults. An empty file gives the
/// defaults.
pub(super) fn read(source: Source, environment: &Environment) -> (Located, Faults) {
    let Source { file, documents, mut faults } = source;
    let mut documents = documents.into_iter();
    let node = documents.next().unwrap_or_else(Node::empty);
    for further in documents {
        let message = "settings are one document; remove the `---` before this one".to_owned();
        faults.push(LocatedFault { file: file.clone(), at: Some(further.at), path: String::new(), message });
    }
    let folder = Path::new(&file).parent().unwrap_or(Path::new(""));
    let (settings, found) = read::settings(&node, folder, environment);
    found.into_iter().for_each(|fault| faults.push(super::definition::locate(&file, &node, fault)));
    (Located { node, settings }, faults)
}
