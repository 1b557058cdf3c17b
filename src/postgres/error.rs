//! What can go wrong with the embedded Postgres, one variant for each thing that a person does about it. Owns
//! the words.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// Why the embedded Postgres is not there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No server binaries that can be used are installed.
    #[error("{}", no_binaries(rejected, install))]
    NoBinaries {
        /// Folders that were looked at more closely, each with the reason why it will not do.
        rejected: Vec<String>,
        /// Command that installs Postgres on this platform.
        install: String,
    },
    /// The cluster was made by a major version that is not installed.
    #[error(
        "the cluster in {} was made by PostgreSQL {wanted}, found only version {found}; install PostgreSQL {wanted}, \
         name its folder in AMENDS_PG_BIN, or choose another --data-dir",
        data.display()
    )]
    WrongVersion {
        /// Folder of the cluster.
        data: PathBuf,
        /// Its major version.
        wanted: String,
        /// Versions that were found.
        found: String,
    },
    /// No user can run Postgres on this data directory; the text says why and what to do.
    #[error("{0}")]
    Account(String),
    /// Neither `--data-dir` nor a home directory is known.
    #[error("expected a data directory for the embedded Postgres, but this user has none; name one with --data-dir")]
    NoDataDir,
    /// Another process holds the data directory, but its Postgres does not answer.
    #[error(
        "another process holds {} but its Postgres did not answer within {waited_s} s{reason}; end that \
         process, or choose another --data-dir",
        lock.display()
    )]
    Busy {
        /// The lock file.
        lock: PathBuf,
        /// How long was waited, in seconds.
        waited_s: u64,
        /// What the socket said last, if anything.
        reason: String,
    },
    /// A program of Postgres failed; its last words are included.
    #[error("{what}; {}", last_words(output, log.as_deref()))]
    Failed {
        /// What failed, and how.
        what: String,
        /// The end of what it wrote.
        output: String,
        /// Where the rest is.
        log: Option<PathBuf>,
    },
    /// A file or folder could not be used.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source))]
    Io {
        /// What was tried, as an infinitive.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// Returns a closure for `map_err` that says what was tried on which file.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

fn no_binaries(rejected: &[String], install: &str) -> String {
    let mut text = format!(
        "no DATABASE_URL is given and no PostgreSQL server ({} or newer) is installed to run an embedded \
         one; {install}, or set DATABASE_URL, or name the folder of `postgres` and `initdb` in AMENDS_PG_BIN",
        super::VERSION_MIN
    );
    for reason in rejected {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  not usable: {reason}");
    }
    text
}

fn last_words(output: &str, log: Option<&Path>) -> String {
    let output = if output.trim().is_empty() { "it wrote nothing" } else { output.trim() };
    match log {
        Some(log) => format!("the end of {}:\n{output}", log.display()),
        None => format!("it wrote:\n{output}"),
    }
}

fn advice(source: &io::Error) -> &'static str {
    if source.kind() == io::ErrorKind::PermissionDenied {
        "; run as the user who owns it, or choose another --data-dir"
    } else {
        ""
    }
}
