//! Reads definitions and settings from YAML files. Reports every fault of every file at once, each with file, line,
//! column and path.
//!
//! Owns the two formats, their JSON Schemas and their defaults. Leaves the rules for definitions to the core (`saga`)
//! and the rules for expressions to `participant`; this room maps their faults to lines.

mod check;
mod definition;
mod environment;
mod export;
mod fault;
mod schema;
mod settings;
mod source;
mod yaml;

pub use check::{Catalog, Report, check, load, load_definitions};
pub use definition::parse_definitions;
pub use environment::Environment;
pub use export::to_yaml;
pub use fault::{Faults, LocatedFault, Position};
pub use schema::{DEFINITION_SCHEMA, SETTINGS_SCHEMA};
pub use settings::{
    DatabaseSettings, HttpSettings, JournalSettings, LogFormat, LogSettings, McpSettings, MetricsSettings,
    NodeSettings, OauthSettings, Settings, TracesSettings, is_secure_url, parse_settings,
};
