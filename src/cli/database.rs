//! Which database a verb works on. Owns the order of places: an option, DATABASE_URL, else the embedded one.

use std::path::PathBuf;

use clap::Args;

use super::failure::{Exit, Failure};
use crate::catalog::DatabaseSettings;
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

    /// The same with the settings' places where the options name none.
    pub(super) fn or_settings(&self, settings: &DatabaseSettings) -> Self {
        let url = settings.url.as_ref().map(|url| url.expose().to_owned());
        let given = self.database_url.clone().filter(|url| !url.is_empty());
        Self {
            database_url: given.or(url),
            data_dir: self.data_dir.clone().or_else(|| settings.data_dir.clone()),
        }
    }

    /// Finds the database, and starts or joins the embedded one if none is named. Blocks.
    pub(super) fn open(&self) -> Result<Place, Failure> {
        match self.database_url.as_deref().filter(|url| !url.is_empty()) {
            Some(url) => Ok(Place::Given(url.to_owned())),
            None => Ok(Place::Embedded(self.embedded()?)),
        }
    }

    /// Opens the database, runs `work` on it and closes it.
    pub(super) fn run<T>(
        &self,
        schema: Schema,
        work: impl AsyncFnOnce(&Store) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let place = self.open()?;
        let config = PostgresConfig::parse(place.url())?;
        let described = config.describe();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(format!("cannot start the runtime: {error}")))?;
        let result = runtime.block_on(async {
            let store = Store::connect(config).await?;
            match schema {
                Schema::Current if place.is_embedded() => drop(store.migrate().await?),
                Schema::Current => store.verify_schema().await?,
                Schema::Any => {}
            }
            work(&store).await
        });
        // Connections first, then what they are connected to.
        drop(runtime);
        let result = result.map_err(|failure| match failure.exit {
            Exit::Database => {
                Failure { message: format!("{} (database {described})", failure.message), ..failure }
            }
            _ => failure,
        });
        match place.close() {
            Err(error) if result.is_ok() => Err(error),
            _ => result,
        }
    }
}

/// The database that a verb works on.
#[derive(Debug)]
pub(super) enum Place {
    /// Somebody else's, at this URL.
    Given(String),
    /// Ours.
    Embedded(Embedded),
}

impl Place {
    /// How to get there.
    pub(super) fn url(&self) -> &str {
        match self {
            Self::Given(url) => url,
            Self::Embedded(embedded) => embedded.url(),
        }
    }

    fn is_embedded(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }

    /// Stops the embedded one, if nobody else uses it.
    pub(super) fn close(self) -> Result<(), Failure> {
        match self {
            Self::Given(_) => Ok(()),
            Self::Embedded(embedded) => Ok(embedded.stop()?),
        }
    }
}
