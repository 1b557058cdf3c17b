//! Makes a new cluster. Owns the call of `initdb` and the first settings; starting it is left to
//! `cluster.rs`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::binaries::Binaries;
use super::os_user::Account;
use super::paths::Places;
use super::{Error, ROLE};

/// What a user may change in `postgresql.conf`; what they must not is on the command line of every start.
const SETTINGS: &str = "
# Set by amends when it made this cluster; yours to change.
# Several nodes, each with its lanes and its pool, share this server.
max_connections = 200
# Fewer checkpoints under load.
max_wal_size = '2GB'
";

/// Makes the cluster under another name and renames it when it is whole.
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
    File::open(&places.home).and_then(|home| home.sync_all()).map_err(Error::io("make durable", &places.home))
}

fn remove_unfinished(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", dir)(error)),
        _ => Ok(()),
    }
}

fn run_initdb(places: &Places, binaries: &Binaries, account: &Account) -> Result<(), Error> {
    let program = binaries.program("initdb");
    // Killed with us: a half-made cluster is worth nothing, and the next run removes it.
    let output = account
        .command(&program, &places.home, libc::SIGKILL)
        .arg("--pgdata")
        .arg(&places.unfinished)
        .arg(format!("--username={ROLE}"))
        // The folder of the socket keeps others out, and nothing listens on TCP.
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
