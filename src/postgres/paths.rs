//! Where the embedded cluster keeps its files. Owns the paths, who owns the folders, and the limit on a
//! socket's path.
//!
//! Files that root writes lie in the data directory itself, where the user that runs Postgres cannot swap
//! them for links.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Error;
use super::os_user::Account;
use crate::config::postgres::{LOG_BYTES_MAX, SOCKET_PATH_BYTES_MAX};

/// Names the socket; nothing listens on TCP.
pub(super) const PORT: u16 = 5432;

/// The paths of one embedded cluster.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Held locked by the owner; its text is the process id of the postmaster that the owner started.
    pub(super) lock: PathBuf,
    /// What Postgres writes to stderr.
    pub(super) log: PathBuf,
    /// Folder of the following two; belongs to the user that runs Postgres.
    pub(super) home: PathBuf,
    /// The cluster.
    pub(super) data: PathBuf,
    /// A cluster that is being made; becomes `data` by a rename, so that a killed first start leaves nothing
    /// half made.
    pub(super) unfinished: PathBuf,
    /// Folder of the socket.
    pub(super) socket_dir: PathBuf,
}

impl Places {
    /// Makes the data directory if it is missing and lays out the paths in it.
    pub(super) fn lay_out(data_dir: &Path) -> Result<Self, Error> {
        fs::create_dir_all(data_dir).map_err(Error::io("create the data directory", data_dir))?;
        // Every process has to come to the same socket, by whatever path it was given the folder.
        let root = data_dir.canonicalize().map_err(Error::io("resolve", data_dir))?;
        let home = root.join("postgres");
        let own = home.join("run");
        let socket_dir = if fits(&own) { own } else { short_dir(&root) };
        Ok(Self {
            lock: root.join("postgres.lock"),
            log: root.join("postgres.log"),
            data: home.join("data"),
            unfinished: home.join("data.new"),
            home,
            socket_dir,
        })
    }

    /// Returns the path of the socket.
    pub(super) fn socket(&self) -> PathBuf {
        socket_in(&self.socket_dir)
    }

    /// Returns the path of the socket's own lock file.
    pub(super) fn socket_lock(&self) -> PathBuf {
        self.socket_dir.join(format!(".s.PGSQL.{PORT}.lock"))
    }

    /// Makes the folders for the user that runs Postgres, and checks that it can reach them. Existing ones
    /// are left as they are.
    pub(super) fn furnish(&self, account: &Account) -> Result<(), Error> {
        for dir in [&self.home, &self.socket_dir] {
            make_private(dir, account)?;
        }
        if account.switch {
            account.check_entry(&self.home)?;
        }
        let found = self.socket_dir.symlink_metadata().map_err(Error::io("read", &self.socket_dir))?;
        if !found.is_dir() || found.uid() != account.uid || found.permissions().mode() & 0o077 != 0 {
            return Err(Error::Account(format!(
                "expected {} to be a folder that only user {} may enter, found one of user {} with mode {:o}; \
                 remove it",
                self.socket_dir.display(),
                account.label(),
                found.uid(),
                found.permissions().mode() & 0o7777
            )));
        }
        Ok(())
    }

    /// Opens the lock file, without taking the lock.
    pub(super) fn open_lock(&self) -> Result<File, Error> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        options.open(&self.lock).map_err(Error::io("open", &self.lock))
    }

    /// Opens the log to append to it; a long one is put aside first, in place of the one before.
    pub(super) fn open_log(&self) -> Result<File, Error> {
        if self.log.metadata().is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
            let aside = self.log.with_extension("log.1");
            fs::rename(&self.log, &aside).map_err(Error::io("put aside", &self.log))?;
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        options.open(&self.log).map_err(Error::io("open", &self.log))
    }
}

/// Makes a folder that only `account` may enter, unless it exists.
fn make_private(dir: &Path, account: &Account) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::io("create", dir)(error));
        }
        _ => {}
    }
    let found = dir.symlink_metadata().map_err(Error::io("read", dir))?;
    // One of root's is ours, made just now or by a run that was killed before the next line.
    if account.switch && found.uid() == 0 {
        lchown(dir, Some(account.uid), Some(account.gid)).map_err(Error::io("give away", dir))?;
    }
    Ok(())
}

fn socket_in(dir: &Path) -> PathBuf {
    dir.join(format!(".s.PGSQL.{PORT}"))
}

fn fits(socket_dir: &Path) -> bool {
    socket_in(socket_dir).as_os_str().len() <= SOCKET_PATH_BYTES_MAX
}

/// A folder with a short name that follows from the data directory alone.
fn short_dir(root: &Path) -> PathBuf {
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Path::new("/tmp").join(format!("amends-{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_gets_a_short_socket() {
        let long = PathBuf::from(format!("/data/{}", "x".repeat(120)));
        assert!(!fits(&long.join("postgres/run")));
        let short = short_dir(&long);
        assert!(fits(&short));
        assert_eq!(short, short_dir(&long));
        assert_ne!(short, short_dir(&long.join("y")));
        assert!(fits(Path::new(&format!("/{}", "x".repeat(SOCKET_PATH_BYTES_MAX - 15)))));
        assert!(!fits(Path::new(&format!("/{}", "x".repeat(SOCKET_PATH_BYTES_MAX - 14)))));
    }
}
