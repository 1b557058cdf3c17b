//! Finds the database of a verb. The order is: an option, DATABASE_URL, the settings, the embedded Postgres.

use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::{Exit, Failure};
use crate::catalog::{DatabaseSettings, Environment, Settings, parse_settings};
use crate::config::store::CLAIM_BYTES_MAX;
use crate::postgres::{self, Embedded, EmbeddedConfig, Role};
use crate::store::{PostgresConfig, Store};

/// Default settings file, used if it exists.
const SETTINGS_FILE: &str = "amends.yaml";

/// Options of every verb that needs a database.
#[derive(Clone, Debug, Args)]
pub(crate) struct DatabaseArgs {
    /// Settings file: participants, definitions, database, node. Default: amends.yaml in the current folder, if it
    /// exists.
    #[arg(long, global = true, env = "AMENDS_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// URL of the Postgres to use. Default: the URL in the settings, else an embedded Postgres under --data-dir.
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Folder of the embedded Postgres. Default: the folder in the settings, else `amends` in the platform's data
    /// directory, or /var/lib/amends for root.
    #[arg(long, global = true, env = "AMENDS_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Name of the person who asks. It is kept as a claim beside the role of the database, in requests and journals.
    /// Default: the user of the operating system.
    #[arg(long = "as", global = true, value_name = "NAME", value_parser = claim)]
    pub(crate) claim: Option<String>,
}

/// Requirement of a verb on the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schema {
    /// The schema must have the version of this program. An embedded database belongs to amends and is migrated
    /// first.
    Current,
    /// Any version. The verb deals with the schema itself.
    Any,
}

impl DatabaseArgs {
    /// Returns the settings file: the one in the options, else the default file if it exists.
    pub(crate) fn settings_file(&self) -> Option<&Path> {
        let usual = Path::new(SETTINGS_FILE);
        self.config.as_deref().or_else(|| usual.exists().then_some(usual))
    }

    /// Adds the database of the settings file to the options. Reads the file only if the options give no URL, because
    /// the file may need environment variables that an operator does not have.
    pub(crate) fn settled(&self) -> Result<Self, Failure> {
        if self.database_url.as_ref().is_some_and(|url| !url.is_empty()) {
            return Ok(self.clone());
        }
        Ok(self.settings()?.map_or_else(|| self.clone(), |settings| self.or_settings(&settings.database)))
    }

    /// Reads the settings file; none if there is no such file.
    pub(crate) fn settings(&self) -> Result<Option<Settings>, Failure> {
        let Some(path) = self.settings_file() else { return Ok(None) };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::failed(format!("cannot read the settings {name}: {error}")))?;
        Ok(Some(parse_settings(&name, &text, &Environment::of_process())?))
    }

    /// Opens the database that the options name, without a look at the settings unless the options name them. Blocks.
    pub(crate) fn open_named(&self) -> Result<Place, Failure> {
        match self.config {
            Some(_) => self.settled()?.open(),
            None => self.open(),
        }
    }

    /// Starts or joins the embedded Postgres. Blocks.
    pub(crate) fn embedded(&self) -> Result<Embedded, Failure> {
        let data_dir = match &self.data_dir {
            Some(dir) => dir.clone(),
            None => postgres::default_data_dir()?,
        };
        Ok(Embedded::start(&EmbeddedConfig::new(data_dir))?)
    }

    /// Returns the options, completed with the URL and the folder of the settings. Values in the options win.
    pub(crate) fn or_settings(&self, settings: &DatabaseSettings) -> Self {
        let url = settings.url.as_ref().map(|url| url.expose().to_owned());
        let given = self.database_url.clone().filter(|url| !url.is_empty());
        Self {
            database_url: given.or(url),
            data_dir: self.data_dir.clone().or_else(|| settings.data_dir.clone()),
            config: self.config.clone(),
            claim: self.claim.clone(),
        }
    }

    /// Opens the database: starts or joins the embedded Postgres if there is no URL. Blocks.
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
        let mut config = PostgresConfig::parse(place.url())?;
        // A name of the operating system that Postgres cannot keep is left out.
        if let Some(name) = self.claim.clone().or_else(|| postgres::user_name().and_then(|name| claim(&name).ok())) {
            config = config.with_claim(&name);
        }
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
        // Closes the connections before the database. A normal shutdown would wait for a pending read of stdin.
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

/// Parses a claimed name. Postgres keeps it within the name of the application, which is short and in ASCII.
fn claim(text: &str) -> Result<String, String> {
    let text = text.trim();
    let fits = |c: char| c.is_ascii_graphic() || c == ' ';
    if text.is_empty() || text.len() > CLAIM_BYTES_MAX || !text.chars().all(fits) {
        return Err(format!(
            "expected 1 to {CLAIM_BYTES_MAX} letters of ASCII, found {} characters; write it in ASCII, or shorter",
            text.chars().count()
        ));
    }
    Ok(text.to_owned())
}

/// The database that a verb works on.
#[derive(Debug)]
pub(crate) enum Place {
    /// An external Postgres at this URL.
    Given(String),
    /// The embedded Postgres.
    Embedded(Embedded),
}

impl Place {
    /// Returns the URL of the database.
    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Given(url) => url,
            Self::Embedded(embedded) => embedded.url(),
        }
    }

    /// Returns whether it is the embedded Postgres.
    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }

    /// Returns the embedded Postgres if this process owns it. A process must not crash a Postgres that another
    /// process owns.
    pub(crate) fn own(&self) -> Option<&Embedded> {
        match self {
            Self::Embedded(embedded) if embedded.role() == Role::Owner => Some(embedded),
            Self::Embedded(_) | Self::Given(_) => None,
        }
    }

    /// Leaves the embedded Postgres. The owner stops it, and another process on it becomes the owner and starts it
    /// again. A guest only leaves.
    pub(crate) fn close(self) -> Result<(), Failure> {
        match self {
            Self::Given(_) => Ok(()),
            Self::Embedded(embedded) => Ok(embedded.stop()?),
        }
    }
}
