//! What the tests of the embedded Postgres stand on: folders, servers, `amends postgres` in processes of
//! their own, and questions to the system.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use amends::postgres::EmbeddedConfig;
use tokio_postgres::NoTls;

/// A new folder that the user who runs Postgres can enter, removed at the end.
pub(crate) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = PathBuf::from(format!("/tmp/amends-it-{}-{count}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        Self(dir)
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The servers to test with: the installed one, and PostgreSQL 18 if `.ci/postgres18` put it there.
pub(super) fn servers() -> Vec<Option<PathBuf>> {
    let mut servers = vec![None];
    let eighteen = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pg18");
    if eighteen.join("bin/postgres").exists() {
        servers.push(Some(reachable(&eighteen).join("bin")));
    } else {
        assert!(
            std::env::var_os("CI").is_none(),
            "PostgreSQL 18 is missing: run .ci/postgres18, which puts it under target/pg18"
        );
        eprintln!("not tested with PostgreSQL 18: run .ci/postgres18, which puts it under target/pg18");
    }
    servers
}

/// Copies the binaries to where another user can run them, if the checkout lies in a closed folder.
pub(super) fn reachable(installed: &Path) -> PathBuf {
    let open = |dir: &&Path| dir.metadata().is_ok_and(|found| found.permissions().mode() & 0o001 != 0);
    if !is_root() || installed.ancestors().all(|dir| open(&dir)) {
        return installed.to_owned();
    }
    let copy = PathBuf::from("/tmp/amends-it-pg18");
    if !copy.join("package-version").exists() {
        let own = format!("/tmp/amends-it-pg18.{}", std::process::id());
        assert!(Command::new("cp").arg("-a").arg(installed).arg(&own).status().unwrap().success());
        // Another test run may have been faster.
        if fs::rename(&own, &copy).is_err() {
            fs::remove_dir_all(&own).unwrap();
        }
    }
    copy
}

pub(super) fn is_root() -> bool {
    // SAFETY: the call has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

pub(super) fn config(data_dir: PathBuf, binaries: &Option<PathBuf>) -> EmbeddedConfig {
    let defaults = EmbeddedConfig::new(data_dir);
    EmbeddedConfig { binaries: binaries.clone().or(defaults.binaries.clone()), ..defaults }
}

/// `amends postgres` in a process of its own.
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) url: String,
    pub(super) role: String,
}

impl Process {
    pub(super) fn command(data_dir: &Path, binaries: &Option<PathBuf>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
        command.args(["postgres", "--json", "--data-dir"]).arg(data_dir);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_remove("DATABASE_URL");
        if let Some(dir) = binaries {
            command.env("AMENDS_PG_BIN", dir);
        }
        command
    }

    pub(super) fn start(data_dir: &Path, binaries: &Option<PathBuf>) -> Self {
        Self::up(Self::command(data_dir, binaries).spawn().unwrap())
    }

    /// Waits for the line that says it is up.
    pub(super) fn up(mut child: Child) -> Self {
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut text = String::new();
            child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
            panic!("amends postgres did not come up: {text}");
        }
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        let word = |name: &str| said[name].as_str().unwrap().to_owned();
        Self { child, url: word("url"), role: word("role") }
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(super) fn terminate(mut self) {
        signal(self.child.id(), libc::SIGTERM);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn signal(pid: u32, signal: i32) {
    // SAFETY: plain system call.
    assert_eq!(unsafe { libc::kill(pid.try_into().unwrap(), signal) }, 0);
}

pub(super) fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[track_caller]
pub(super) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs one statement in a connection of its own and returns the first value of the first row.
pub(super) fn try_query(url: &str, sql: &str) -> Result<Option<String>, tokio_postgres::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let connection = tokio::spawn(connection);
        let messages = client.simple_query(sql).await?;
        drop(client);
        let _ = connection.await;
        Ok(messages.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    })
}

#[track_caller]
pub(super) fn query(url: &str, sql: &str) -> String {
    try_query(url, sql).unwrap().unwrap_or_default()
}

pub(super) fn postmaster_pid(data_dir: &Path) -> u32 {
    let text = fs::read_to_string(data_dir.join("postgres/data/postmaster.pid")).unwrap();
    text.lines().next().unwrap().parse().unwrap()
}

pub(super) fn parent(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()
}

pub(super) fn plain_postgres(server: &Option<PathBuf>) -> PathBuf {
    let dir = server.clone().unwrap_or_else(|| {
        let output = Command::new("pg_config").arg("--bindir").output().unwrap();
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    });
    dir.join("postgres")
}

pub(super) fn as_owner_of(data: &Path, command: &mut Command) {
    if is_root() {
        let found = data.metadata().unwrap();
        command.uid(found.uid()).gid(found.gid());
    }
}

pub(super) fn give_to_owner_of(data: &Path, file: &Path) {
    let found = data.metadata().unwrap();
    chown(file, Some(found.uid()), Some(found.gid())).unwrap();
}

/// The program may lie where only root can reach it. Another process copies it: what this one has open for writing, a
/// child that another test starts meanwhile inherits, and a file that is open for writing cannot be run.
pub(super) fn runnable_by_all(folder: &Folder) -> PathBuf {
    let copy = folder.join("amends");
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_amends")).arg(&copy).status().unwrap();
    assert!(copied.success());
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}
