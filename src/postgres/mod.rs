//! The embedded default: a private, durable Postgres for a program that was given no DATABASE_URL. Owns
//! finding installed server binaries, the cluster under the data directory, and the life of its postmaster;
//! what is stored in it is the store's business.
//!
//! Several processes may start on one data directory at once. One of them *owns* the cluster: it holds the
//! lock file, is the parent of the postmaster, and restarts it should it die. The others are *guests*. When
//! the owner leaves, by whatever way, a guest takes its place on the same socket, so the URL stays valid and
//! a reconnect finds the database again. When the last process leaves, Postgres is stopped; on Linux also
//! when it is killed.
//!
//! Everything here blocks, and works on Unix only. Call [`Embedded::start`] before an async runtime is
//! entered, or from a thread where blocking is allowed.

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

use cluster::Cluster;
use keeper::Keeper;

/// Role and superuser of the embedded cluster; only its operating-system user and root can reach the socket.
pub const ROLE: &str = "amends";
/// Database of the embedded cluster.
pub const DATABASE: &str = "postgres";
/// Oldest major version of Postgres that amends works with.
pub const VERSION_MIN: u32 = 14;

/// What an embedded Postgres needs to know.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// Folder of the cluster, its log and its lock; made if missing.
    pub data_dir: PathBuf,
    /// Folder of `postgres` and `initdb`. Default: `AMENDS_PG_BIN`, else the installed ones are searched.
    pub binaries: Option<PathBuf>,
}

impl EmbeddedConfig {
    /// Takes the binaries from `AMENDS_PG_BIN`, or leaves them to be found.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let binaries = std::env::var_os("AMENDS_PG_BIN").filter(|text| !text.is_empty());
        Self { data_dir: data_dir.into(), binaries: binaries.map(PathBuf::from) }
    }
}

/// Returns the data directory of a user who named none: `amends` in the platform's data directory, or
/// `/var/lib/amends` for root, whose own home the unprivileged user that runs Postgres cannot enter.
pub fn default_data_dir() -> Result<PathBuf, Error> {
    if os_user::is_root() {
        return Ok(PathBuf::from("/var/lib/amends"));
    }
    dirs::data_dir().map(|dir| dir.join("amends")).ok_or(Error::NoDataDir)
}

/// A running Postgres of our own. Dropping it stops Postgres, unless another process still uses it.
#[derive(Debug)]
pub struct Embedded {
    url: String,
    log: PathBuf,
    data: PathBuf,
    keeper: Keeper,
}

impl Embedded {
    /// Starts the cluster of a data directory, or joins the one that another process runs there, and returns
    /// when it answers.
    ///
    /// Makes the cluster first if there is none (about a second, several on a loaded machine). Recovers what
    /// a killed run left.
    pub fn start(config: &EmbeddedConfig) -> Result<Self, Error> {
        let cluster = Cluster::prepare(config)?;
        let url = url(&cluster.places().socket_dir);
        let (log, data) = (cluster.places().log.clone(), cluster.places().data.clone());
        let keeper = Keeper::start(cluster)?;
        Ok(Self { url, log, data, keeper })
    }

    /// Returns the URL to connect to, for this process and for others of the same user.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the file to which Postgres writes its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Returns what this process is to the cluster right now.
    pub fn role(&self) -> Role {
        self.keeper.role()
    }

    /// Kills Postgres with all of its processes, as the crash of its machine would, to see what lives through that.
    /// Its owner starts it again within a second or so; what it acknowledged is there. Returns whether it ran.
    pub fn crash(&self) -> bool {
        crash::crash(&self.data)
    }

    /// Leaves the cluster: the owner stops Postgres and waits for its clean end, a guest just goes.
    pub fn stop(mut self) -> Result<(), Error> {
        self.keeper.stop()
    }
}

fn url(socket_dir: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;

    let mut host = String::new();
    for &byte in socket_dir.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            host.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(host, "%{byte:02X}");
        }
    }
    format!("postgresql://{ROLE}@/{DATABASE}?host={host}&port={}&sslmode=disable", paths::PORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_survives_any_folder_name() {
        let text = url(Path::new("/tmp/a b&c=ä?%/run"));
        let expected = "postgresql://amends@/postgres?host=/tmp/a%20b%26c%3D%C3%A4%3F%25/run&port=5432&sslmode=disable";
        assert_eq!(text, expected);
    }
}
