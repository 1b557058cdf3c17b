//! Owns a node's settings: `amends.yaml` as values, its defaults, and which texts are secrets. The shape itself is
//! `settings.schema.json`. Leaves connecting to the rooms that use them.

mod mcp;
mod read;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

pub use mcp::{McpSettings, OauthSettings};

use super::environment::Environment;
use super::fault::{Faults, LocatedFault};
use super::source::Source;
use super::yaml::Node;
use crate::config::actor::{LANES, LEASE_MS, RESIDENTS_MAX};
use crate::config::catalog::GRACE_PERIOD_MS_DEFAULT;
use crate::config::store::POOL_CONNECTIONS;
use crate::participant::{Filter, ParticipantConfig, Secret};
use crate::saga::definition::Millis;

/// Settings of one node. The default is what holds without a file.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What steps call.
    pub participants: Vec<ParticipantConfig>,
    /// Files, folders and patterns of definitions; relative ones were joined to the settings' folder.
    pub definitions: Vec<PathBuf>,
    /// Where sagas are recorded.
    pub database: DatabaseSettings,
    /// This process among others.
    pub node: NodeSettings,
    /// The node's own HTTP.
    pub http: HttpSettings,
    /// The agents' door.
    pub mcp: McpSettings,
    /// What is logged, and how.
    pub log: LogSettings,
    /// Who is told of sagas as spans.
    pub traces: TracesSettings,
}

impl Settings {
    /// Returns what cuts out of any text what the environment gave to participants, to the database's URL and to the
    /// collector's.
    pub fn filter(&self) -> Filter {
        let of_participants = self.participants.iter().flat_map(|participant| participant.transport.secrets());
        Filter::of(of_participants.chain(&self.database.url).chain(&self.traces.otlp))
    }
}

/// Where sagas are recorded.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// Postgres URL. Default: none, which leaves it to `DATABASE_URL` and then to the embedded Postgres.
    pub url: Option<Secret>,
    /// Most pooled connections, besides lanes. Default: 8.
    pub pool: usize,
    /// Folder of the embedded Postgres. Default: none, the platform's data folder.
    pub data_dir: Option<PathBuf>,
}

/// This process among others on the same database.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// Name in lists and logs. Default: none, the host's name.
    pub name: Option<String>,
    /// Committing connections. Default: 2.
    pub lanes: usize,
    /// Most sagas that run here at the same time. Default: 10,000.
    pub actors_max: usize,
    /// Time without a heartbeat after which other nodes take this one for dead, in milliseconds. Default: 8,000.
    pub lease_ms: Millis,
    /// Time that attempts under way get to end after SIGTERM, in milliseconds. Default: 30,000.
    pub grace_period_ms: Millis,
}

/// The node's own HTTP.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Where it listens; none when it was switched off. Default: 127.0.0.1:7171.
    pub address: Option<SocketAddr>,
}

/// Who is told of sagas as spans.
#[derive(Clone, Debug, Default)]
pub struct TracesSettings {
    /// URL of a collector. Default: none, nobody is told.
    pub otlp: Option<Secret>,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Level or directives of `tracing`. Default: `info`.
    pub level: String,
    /// Form of a line. Default: text.
    pub format: LogFormat,
}

/// Form of a line of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
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

/// Port of the node's HTTP, unless the settings say otherwise.
const HTTP_PORT: u16 = 7171;

/// Settings and where they were read.
pub(super) struct Located {
    pub(super) node: Node,
    pub(super) settings: Settings,
}

/// Reads settings from a text. `file` is the name that faults carry; relative paths in the text start at its folder.
///
/// # Errors
///
/// Returns all faults, sorted by line: of the syntax, of the shape, of references to the environment, and
/// secrets in plain text.
pub fn parse_settings(file: &str, text: &str, environment: &Environment) -> Result<Settings, Faults> {
    let (located, faults) = read(Source::of_text(file, text), environment);
    faults.or(located.settings)
}

/// Reads what can be read of a source, and returns the faults beside it. An empty file gives the defaults.
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
