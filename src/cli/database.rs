//! Which database a verb works on. Owns the order of places: an option, DATABASE_URL, the settings file, else
//! the embedded one.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use crate::postgres::{self, Embedded, EmbeddedConfig};

/// Options of every verb that needs a database.
#[derive(Clone, Debug, Args)]
pub(super) struct DatabaseArgs {
    /// Postgres to use. Default: that of the settings file, else an embedded one under --data-dir.
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(super) database_url: Option<String>,
    /// Folder of the embedded Postgres. Default: `amends` in the platform's data directory, or
    /// /var/lib/amends for root.
    #[arg(long, global = true, env = "AMENDS_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
}

impl DatabaseArgs {
    /// Starts or joins the embedded Postgres.
    pub(super) fn embedded(&self) -> Result<Embedded, Failure> {
        let data_dir = match &self.data_dir {
            Some(dir) => dir.clone(),
            None => postgres::default_data_dir()?,
        };
        Ok(Embedded::start(&EmbeddedConfig::new(data_dir))?)
    }
}
