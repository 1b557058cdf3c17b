//! Which database a verb works on. Owns the order of places: an option, DATABASE_URL, the settings, else the
//! embedded one.

use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::{Exit, Failure};
use crate::catalog::{DatabaseSettings, Environment, parse_settings};
use crate::postgres::{self, Embedded, EmbeddedConfig, Role};
use crate::store::{PostgresConfig, Store};

/// Settings file that is taken when none is named and it is there.
const SETTINGS_FILE: &str = "amends.yaml";

/// Options of every verb that needs a database.
#[derive(Clone, Debug, Args)]
pub(crate) struct DatabaseArgs {
    /// Settings: participants, definitions, database, node. Default: amends.yaml in this folder, if there is
    /// one.
    #[arg(long, global = true, env = "AMENDS_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Postgres to use. Default: the settings', else an embedded one under --data-dir.
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Folder of the embedded Postgres. Default: the settings', else `amends` in the platform's data
    /// directory, or /var/lib/amends for root.
    #[arg(long, global = true, env = "AMENDS_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// What a verb expects of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schema {
    /// It is that of this program. An embedded database is ours, so it is brought up to date first.
    Current,
    /// Whatever it is, the verb sees to it.
    Any,
}

impl DatabaseArgs {
    /// Returns the settings file: the named one, or the usual one if it is there.
    pub(crate) fn settings_file(&self) -> Option<&Path> {
        let usual = Path::new(SETTINGS_FILE);
        self.config.as_deref().or_else(|| usual.exists().then_some(usual))
    }

    /// Reads the settings file for a verb that only needs to know where the database is. It may name
    /// variables that an operator does not have, so it is read only if it matters.
    pub(crate) fn settled(&self) -> Result<Self, Failure> {
        let given = self.database_url.as_ref().is_some_and(|url| !url.is_empty());
        let Some(path) = self.settings_file().filter(|_| !given) else { return Ok(self.clone()) };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::failed(format!("cannot read the settings {name}: {error}")))?;
        let settings = parse_settings(&name, &text, &Environment::of_process())?;
        Ok(self.or_settings(&settings.database))
    }

    /// Starts or joins the embedded Postgres. Blocks.
    pub(crate) fn embedded(&self) -> Result<Embedded, Failure> {
        let data_dir = match &self.data_dir {
            Some(dir) => dir.clone(),
            None => postgres::default_data_dir()?,
        };
        Ok(Embedded::start(&EmbeddedConfig::new(data_dir))?)
    }

    /// The same with the settings' places where the options name none.
    pub(crate) fn or_settings(&self, settings: &DatabaseSettings) -> Self {
        let url = settings.url.as_ref().map(|url| url.expose().to_owned());
        let given = self.database_url.clone().filter(|url| !url.is_empty());
        Self {
            database_url: given.or(url),
            data_dir: self.data_dir.clone().or_else(|| settings.data_dir.clone()),
            config: self.config.clone(),
        }
    }

    /// Finds the database, and starts or joins the embedded one if none is named. Blocks.
    pub(crate) fn open(&self) -> Result<Place, Failure> {
        match self.database_url.as_deref().filter(|url| !url.is_empty()) {
            Some(url) => Ok(Place::Given(url.to_owned())),
            None => Ok(Place::Embedded(self.embedded()?)),
        }
    }

    /// Opens the database, runs `work` on it and closes it.
    pub(crate) fn run<T>(
        &self,
        schema: Schema,
        work: impl AsyncFnOnce(&Store) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let place = self.settled()?.open()?;
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
        // Connections first, then what they are connected to. A read of standard input would be waited for otherwise.
        runtime.shutdown_background();
        let result = result.map_err(|failure| match failure.exit {
            Exit::Database => Failure { message: format!("{} (database {described})", failure.message), ..failure },
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
pub(crate) enum Place {
    /// Somebody else's, at this URL.
    Given(String),
    /// Ours.
    Embedded(Embedded),
}

impl Place {
    /// How to get there.
    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Given(url) => url,
            Self::Embedded(embedded) => embedded.url(),
        }
    }

    /// Whether it is ours.
    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }

    /// The server that this process runs. One that it merely shares is not its to be rough with.
    pub(crate) fn own(&self) -> Option<&Embedded> {
        match self {
            Self::Embedded(embedded) if embedded.role() == Role::Owner => Some(embedded),
            Self::Embedded(_) | Self::Given(_) => None,
        }
    }

    /// Stops the embedded one, if nobody else uses it.
    pub(crate) fn close(self) -> Result<(), Failure> {
        match self {
            Self::Given(_) => Ok(()),
            Self::Embedded(embedded) => Ok(embedded.stop()?),
        }
    }
}
