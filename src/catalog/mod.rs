//! Reads files: definitions and settings in YAML, with every fault of every file named at once by file, line,
//! column and path. Owns the two formats, their JSON Schemas and their defaults; what a definition may
//! promise is the core's to judge, what an expression may say the participants', and this room maps their
//! faults to lines.

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
    DatabaseSettings, HttpSettings, LogFormat, LogSettings, McpSettings, NodeSettings, OauthSettings, Settings,
    TracesSettings, parse_settings,
};
