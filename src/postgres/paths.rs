//! Paths of the embedded cluster's files. Also sets the owners of the folders, and keeps the path of the socket short
//! enough.
//!
//! Files that root writes lie in the data directory itself. There, the user that runs Postgres cannot replace them
//! with links.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Error;
use super::os_user::Account;
use crate::config::postgres::{LOG_BYTES_MAX, SOCKET_PATH_BYTES_MAX};

/// Port number in the socket's name. Nothing listens on TCP.
pub(super) const PORT: u16 = 5432;

/// The paths of one embedded cluster.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Lock file of the owner. It holds the process id of the postmaster that the owner started.
    pub(super) lock: PathBuf,
    /// Output of Postgres.
    pub(super) log: PathBuf,
    /// Folder of `data` and `unfinished`. Belongs to the user that runs Postgres.
    pub(super) home: PathBuf,
    /// The cluster.
    pub(super) data: PathBuf,
    /// A cluster under construction. A rename makes it `data`, so a killed first start leaves no half-made cluster.
    pub(super) unfinished: PathBuf,
    /// Folder of the socket. It is in `/tmp` if the path in `home` would be too long.
    pub(super) socket_dir: PathBuf,
}

impl Places {
    /// Creates the data directory if it is missing, and lays out the paths in it.
    pub(super) fn lay_out(data_dir: &Path) -> Result<Self, Error> {
        fs::create_dir_all(data_dir).map_err(Error::io("create the data directory", data_dir))?;
        // All processes must use the same socket, whatever path to the folder they were given.
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

    /// Returns the path of the socket's lock file.
    pub(super) fn socket_lock(&self) -> PathBuf {
        self.socket_dir.join(format!(".s.PGSQL.{PORT}.lock"))
    }

    /// Creates the folders for the user that runs Postgres, and checks that the user can reach them. Existing folders
    /// are kept, but a folder of root is given to that user.
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
                "expected {} to be a folder that only user {} may enter, found one owned by user {} with mode {:o}; \
                 remove it",
                self.socket_dir.display(),
                account.label(),
                found.uid(),
                found.permissions().mode() & 0o7777
            )));
        }
        Ok(())
    }

    /// Opens the lock file without taking the lock.
    pub(super) fn open_lock(&self) -> Result<File, Error> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        options.open(&self.lock).map_err(Error::io("open", &self.lock))
    }

    /// Opens the log to append to it. First renames a log above `LOG_BYTES_MAX`; only one renamed log is kept.
    pub(super) fn open_log(&self) -> Result<File, Error> {
        if self.log.metadata().is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
            let aside = self.log.with_extension("log.1");
            fs::rename(&self.log, &aside).map_err(Error::io("rename", &self.log))?;
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        options.open(&self.log).map_err(Error::io("open", &self.log))
    }
}

/// Creates a folder that only `account` may enter, unless it exists.
fn make_private(dir: &Path, account: &Account) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::io("create", dir)(error));
        }
        _ => {}
    }
    let found = dir.symlink_metadata().map_err(Error::io("read", dir))?;
    // A folder of root was created above, or by a run that was killed before the next line.
    if account.switch && found.uid() == 0 {
        lchown(dir, Some(account.uid), Some(account.gid)).map_err(Error::io("change the owner of", dir))?;
    }
    Ok(())
}

fn socket_in(dir: &Path) -> PathBuf {
    dir.join(format!(".s.PGSQL.{PORT}"))
}

fn fits(socket_dir: &Path) -> bool {
    socket_in(socket_dir).as_os_str().len() <= SOCKET_PATH_BYTES_MAX
}

/// Returns a folder with a short name that depends on the data directory alone.
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
