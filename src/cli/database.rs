//! Which database a verb works on. Owns the order of places: an option, DATABASE_URL, else the embedded one.

use std::path::PathBuf;

use clap::Args;

use super::failure::{Exit, Failure};
use crate::postgres::{self, Embedded, EmbeddedConfig};
use crate::store::{PostgresConfig, Store};

/// Options of every verb that needs a database.
#[derive(Clone, Debug, Args)]
pub(super) struct DatabaseArgs {
    /// Postgres to use. Default: an embedded one under --data-dir.
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(super) database_url: Option<String>,
    /// Folder of the embedded Postgres. Default: `amends` in the platform's data directory, or /var/lib/amends
    /// for root.
    #[arg(long, global = true, env = "AMENDS_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
}

/// What a verb expects of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schema {
    /// It is that of this program. An embedded database is ours, so it is brought up to date first.
    Current,
    /// Whatever it is, the verb sees to it.
    Any,
}

impl DatabaseArgs {
    /// Starts or joins the embedded Postgres. Blocks.
    pub(super) fn embedded(&self) -> Result<Embedded, Failure> {
        let data_dir = match &self.data_dir {
            Some(dir) => dir.clone(),
            None => postgres::default_data_dir()?,
        };
        Ok(Embedded::start(&EmbeddedConfig::new(data_dir))?)
    }

    /// Opens the database, runs `work` on it and closes it.
    pub(super) fn run<T>(
        &self,
        schema: Schema,
        work: impl AsyncFnOnce(&Store) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let given = self.database_url.as_deref().filter(|url| !url.is_empty());
        let embedded = if given.is_none() { Some(self.embedded()?) } else { None };
        let url = given.or(embedded.as_ref().map(Embedded::url)).unwrap_or_default();
        let config = PostgresConfig::parse(url)?;
        let place = config.describe();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(format!("cannot start the runtime: {error}")))?;
        let result = runtime.block_on(async {
            let store = Store::connect(config).await?;
            match schema {
                Schema::Current if embedded.is_some() => drop(store.migrate().await?),
                Schema::Current => store.verify_schema().await?,
                Schema::Any => {}
            }
            work(&store).await
        });
        // Connections first, then what they are connected to.
        drop(runtime);
        let result = result.map_err(|failure| match failure.exit {
            Exit::Database => {
                Failure { message: format!("{} (database {place})", failure.message), ..failure }
            }
            _ => failure,
        });
        match embedded.map(Embedded::stop) {
            Some(Err(error)) if result.is_ok() => Err(error.into()),
            _ => result,
        }
    }
}
