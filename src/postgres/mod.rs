//! The embedded Postgres: a private, durable database for a program without a DATABASE_URL. Finds installed server
//! binaries, creates the cluster under the data directory, and keeps its postmaster running. The store decides what
//! the database holds.
//!
//! Several processes may start on one data directory at once. One of them *owns* the cluster: it holds the lock file,
//! is the parent of the postmaster, and restarts it if it dies. The others are *guests*. When the owner leaves or
//! dies, a guest takes its place on the same socket. So the URL stays valid, and a client that reconnects finds the
//! database again. When the last process leaves, Postgres is stopped. On Linux it is also stopped when that process
//! is killed.
//!
//! All functions here block, and work on Unix only. Call [`Embedded::start`] before an async runtime is entered, or
//! from a thread that may block.

mod binaries;
mod cluster;
mod crash;
mod error;
mod initialise;
mod keeper;
mod lockfile;
mod os_user;
mod paths;
mod ping;
mod postmaster;
mod stop;

use std::path::{Path, PathBuf};

pub use error::Error;
pub use keeper::Role;
pub(crate) use os_user::{User, by_name as user, is_root, uid, user_name};

use cluster::Cluster;
use keeper::Keeper;

/// Role and superuser of the embedded cluster. Only root and the operating-system user that runs Postgres can reach
/// the socket.
pub const ROLE: &str = "amends";
/// Database of the embedded cluster.
pub const DATABASE: &str = "postgres";
/// Oldest major version of Postgres that amends works with.
pub const VERSION_MIN: u32 = 14;

/// Settings of the embedded Postgres.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// Folder of the cluster, its log and its lock. Created if missing.
    pub data_dir: PathBuf,
    /// Folder of `postgres` and `initdb`; none: an installed server is searched for. Default: `AMENDS_PG_BIN`, if
    /// set.
    pub binaries: Option<PathBuf>,
}

impl EmbeddedConfig {
    /// Creates the settings for a data directory. Takes the binaries from `AMENDS_PG_BIN`, if set.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let binaries = std::env::var_os("AMENDS_PG_BIN").filter(|text| !text.is_empty());
        Self { data_dir: data_dir.into(), binaries: binaries.map(PathBuf::from) }
    }
}

/// Returns the data directory for a user who named none: `amends` in the platform's data directory. For root it is
/// `/var/lib/amends`, because the unprivileged user that runs Postgres cannot enter root's home.
pub fn default_data_dir() -> Result<PathBuf, Error> {
    if os_user::is_root() {
        return Ok(PathBuf::from("/var/lib/amends"));
    }
    dirs::data_dir().map(|dir| dir.join("amends")).ok_or(Error::NoDataDir)
}

/// A running embedded Postgres. Dropping it is like [`Embedded::stop`], but errors are logged.
#[derive(Debug)]
pub struct Embedded {
    url: String,
    log: PathBuf,
    data: PathBuf,
    keeper: Keeper,
}

impl Embedded {
    /// Starts the cluster of a data directory, or joins the cluster that another process runs there. Returns when the
    /// cluster answers.
    ///
    /// Creates the cluster first if there is none, which takes about a second, or several on a loaded machine.
    /// Recovers what a killed run left.
    pub fn start(config: &EmbeddedConfig) -> Result<Self, Error> {
        let cluster = Cluster::prepare(config)?;
        let url = url(&cluster.places().socket_dir);
        let (log, data) = (cluster.places().log.clone(), cluster.places().data.clone());
        let keeper = Keeper::start(cluster)?;
        Ok(Self { url, log, data, keeper })
    }

    /// Returns the URL to connect to, for this process and for other processes of the same user.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the file to which Postgres writes its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Returns the current role of this process in the cluster.
    pub fn role(&self) -> Role {
        self.keeper.role()
    }

    /// Kills Postgres with all its processes, as a crash of its machine would. For tests of recovery. The owner
    /// starts it again within a second or so, with all acknowledged data. Returns whether Postgres ran.
    pub fn crash(&self) -> bool {
        crash::crash(&self.data)
    }

    /// Leaves the cluster. The owner stops Postgres and waits for its end; a guest, if there is one, then starts it
    /// again. A guest only leaves. An adopted Postgres that a person started keeps running.
    pub fn stop(mut self) -> Result<(), Error> {
        self.keeper.stop()
    }
}

fn url(socket_dir: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;

    let mut host = String::new();
    // As a host rather than as a parameter: not every client takes a URL without a host.
    for &byte in socket_dir.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            host.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(host, "%{byte:02X}");
        }
    }
    format!("postgresql://{ROLE}@{host}:{}/{DATABASE}?sslmode=disable", paths::PORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_survives_any_folder_name() {
        let text = url(Path::new("/tmp/a b&c=ä?%/run"));
        let expected = "postgresql://amends@%2Ftmp%2Fa%20b%26c%3D%C3%A4%3F%25%2Frun:5432/postgres?sslmode=disable";
        assert_eq!(text, expected);
        // sqlx reads it like this.
        let parsed = reqwest::Url::parse(&text).unwrap();
        assert_eq!(parsed.host_str(), Some("%2Ftmp%2Fa%20b%26c%3D%C3%A4%3F%25%2Frun"));
    }
}
