//! Errors of the embedded Postgres, with their texts: one variant for each thing that a person does about it.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// Reason why the embedded Postgres is not available.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable server binaries are installed.
    #[error("{}", no_binaries(rejected, install))]
    NoBinaries {
        /// Folders that hold an unusable server, and a named folder without one, each with the reason.
        rejected: Vec<String>,
        /// Advice how to install Postgres on this platform.
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
        /// Major version of the cluster.
        wanted: String,
        /// Major versions that are installed.
        found: String,
    },
    /// No user can run Postgres on this data directory. The text says why and what to do.
    #[error("{0}")]
    Account(String),
    /// Neither `--data-dir` nor a home directory is known.
    #[error("expected a data directory for the embedded Postgres, found no home directory; name one with --data-dir")]
    NoDataDir,
    /// Another process holds the data directory, but its Postgres refuses the connection or does not answer in time.
    #[error(
        "another process holds {}, and its Postgres was not ready after {waited_s} s{reason}; end that \
         process, or choose another --data-dir",
        lock.display()
    )]
    Busy {
        /// The lock file.
        lock: PathBuf,
        /// Time waited, in seconds.
        waited_s: u64,
        /// Reason of the refusal, after `: `; empty if there was no answer.
        reason: String,
    },
    /// A program of Postgres failed. The text shows the end of its output.
    #[error("{what}; {}", last_words(output, log.as_deref()))]
    Failed {
        /// What failed, and how.
        what: String,
        /// End of its output.
        output: String,
        /// File with the whole output.
        log: Option<PathBuf>,
    },
    /// A file or folder could not be used.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source))]
    Io {
        /// What was tried, as an infinitive.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
}

impl Error {
    /// Returns a closure for `map_err` that adds the action and the path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

fn no_binaries(rejected: &[String], install: &str) -> String {
    let mut text = format!(
        "no DATABASE_URL is given, and no usable PostgreSQL server ({} or newer) is installed for the embedded \
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
