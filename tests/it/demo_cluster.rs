//! A throw-away Postgres for the tests of the demo's participants. Owns its start and its end.

#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage shall stop at once")]

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A cluster on a socket of its own; stopped and removed when dropped.
pub(crate) struct Cluster {
    server: Child,
    directory: PathBuf,
}

impl Cluster {
    /// Starts a cluster.
    pub(crate) fn start() -> Self {
        let directory = std::env::temp_dir().join(format!("amends-demo-{}", uuid::Uuid::now_v7().simple()));
        std::fs::create_dir(&directory).unwrap();
        let owner = owner();
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(&directory, Some(user), Some(group)).unwrap();
        }
        let bin = bin();
        let data = directory.join("data");
        let run = |program: &str| {
            let mut command = Command::new(bin.join(program));
            if let Some((user, group)) = owner {
                command.uid(user).gid(group);
            }
            command.current_dir(&directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let made = run("initdb")
            .args(["-U", "amends", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .status()
            .unwrap();
        assert!(made.success(), "initdb failed: {made}");
        let server = run("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "unix_socket_directories="])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", directory.display()))
            .spawn()
            .unwrap();
        let cluster = Self { server, directory };
        let limit = Instant::now() + Duration::from_secs(20);
        while std::os::unix::net::UnixStream::connect(cluster.directory.join(".s.PGSQL.5432")).is_err()
            || !cluster.accepts()
        {
            assert!(Instant::now() < limit, "Postgres did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        cluster
    }

    /// Returns a URL of its one database.
    pub(crate) fn url(&self) -> String {
        let directory = self.directory.display().to_string().replace('/', "%2F");
        format!("postgres://amends@{directory}/postgres")
    }

    fn accepts(&self) -> bool {
        let socket = self.directory.display().to_string();
        let mut probe = Command::new(bin().join("pg_isready"));
        probe.args(["-q", "-h", &socket]).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SIGINT is Postgres's fast shutdown.
        let _ = Command::new("kill").args(["-INT", &self.server.id().to_string()]).status();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Postgres refuses to run as root, so root's tests run it as `postgres`.
fn owner() -> Option<(u32, u32)> {
    let id = |flag: &str, user: &[&str]| -> Option<u32> {
        let output = Command::new("id").arg(flag).args(user).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    (id("-u", &[])? == 0).then(|| (id("-u", &["postgres"]).unwrap(), id("-g", &["postgres"]).unwrap()))
}

fn bin() -> PathBuf {
    let debian = Path::new("/usr/lib/postgresql");
    let mut found: Vec<_> = std::fs::read_dir(debian)
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    found.sort();
    found.pop().expect("Postgres is not installed under /usr/lib/postgresql")
}
