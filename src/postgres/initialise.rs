//! Creates a new cluster: runs `initdb` and writes the first settings. `cluster.rs` starts it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::binaries::Binaries;
use super::os_user::Account;
use super::paths::Places;
use super::{Error, ROLE};

/// Settings that a user may change in `postgresql.conf`. The fixed ones are on the command line of every start.
const SETTINGS: &str = "
# Set by amends when it created this cluster. You may change these settings.
# Several nodes, each with its lanes and its pool, share this server.
max_connections = 200
# Fewer checkpoints under load.
max_wal_size = '2GB'
";

/// Creates the cluster under another name, and renames it when it is complete.
pub(super) fn initialise(places: &Places, binaries: &Binaries, account: &Account) -> Result<(), Error> {
    if account.name.is_none() {
        return Err(Error::Account(format!(
            "initdb needs a name for user id {}, which has no entry in the passwd database; add one \
             (useradd --uid {} amends), run as another user, or set DATABASE_URL",
            account.uid, account.uid
        )));
    }
    remove_unfinished(&places.unfinished)?;
    run_initdb(places, binaries, account)?;
    append_settings(&places.unfinished)?;
    fs::rename(&places.unfinished, &places.data).map_err(Error::io("rename", &places.unfinished))?;
    File::open(&places.home).and_then(|home| home.sync_all()).map_err(Error::io("sync", &places.home))
}

fn remove_unfinished(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", dir)(error)),
        _ => Ok(()),
    }
}

fn run_initdb(places: &Places, binaries: &Binaries, account: &Account) -> Result<(), Error> {
    let program = binaries.program("initdb");
    // On Linux `initdb` dies with this process. The next run removes the half-made cluster.
    let output = account
        .command(&program, &places.home, libc::SIGKILL)
        .arg("--pgdata")
        .arg(&places.unfinished)
        .arg(format!("--username={ROLE}"))
        // The permissions of the socket's folder keep other users out, and nothing listens on TCP.
        .args(["--auth-local=trust", "--auth-host=reject"])
        // Byte order: the same on every platform, and the fastest.
        .args(["--encoding=UTF8", "--locale=C", "--no-instructions"])
        .output()
        .map_err(Error::io("run", &program))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(Error::Failed {
        what: format!("{} ended with {}", program.display(), output.status),
        output: String::from_utf8_lossy(&said).into_owned(),
        log: None,
    })
}

fn append_settings(cluster: &Path) -> Result<(), Error> {
    let path = cluster.join("postgresql.conf");
    let mut options = OpenOptions::new();
    options.append(true).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(&path).map_err(Error::io("open", &path))?;
    file.write_all(SETTINGS.as_bytes()).and_then(|()| file.sync_all()).map_err(Error::io("write", &path))
}
