//! A Postgres cluster for this test run and a database for each test, cloned from a migrated template. Owns
//! their lives; the tests own what they do with them. `AMENDS_PG_BIN` chooses the server's binaries.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use amends::store::{Lane, NodeId, PostgresConfig, Store};
use tokio_postgres::NoTls;

static CLUSTER: OnceLock<Cluster> = OnceLock::new();

/// A cluster: the one of this test run, or one of a test that is rough with it.
pub(crate) struct Cluster {
    directory: PathBuf,
    pub(crate) port: u16,
    settings: Vec<String>,
    environment: Vec<(String, PathBuf)>,
    server: Mutex<Option<Child>>,
}

/// A database of one test.
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) url: String,
}

impl Database {
    /// A fresh database with the schema of today.
    pub(crate) async fn create() -> Self {
        Self::clone_of("amends_template").await
    }

    /// A fresh database without any schema.
    pub(crate) async fn empty() -> Self {
        Self::clone_of("template0").await
    }

    async fn clone_of(template: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let cluster = cluster();
        let admin = connect(&cluster.url("postgres")).await;
        admin.batch_execute(&format!("create database {name} template {template}")).await.unwrap();
        Self { url: cluster.url(&name), name }
    }

    /// The same database over TCP.
    pub(crate) fn tcp_url(&self, host: &str, port: u16) -> String {
        format!("postgres://postgres@{host}:{port}/{}", self.name)
    }

    pub(crate) fn config(&self) -> PostgresConfig {
        PostgresConfig::parse(&self.url).unwrap()
    }

    pub(crate) async fn store(&self) -> Store {
        Store::connect(self.config()).await.unwrap()
    }

    /// A connection of the test's own, to look behind the scenes.
    pub(crate) async fn client(&self) -> tokio_postgres::Client {
        connect(&self.url).await
    }

    /// A session that holds a snapshot from now on.
    pub(crate) async fn held_snapshot(&self) -> tokio_postgres::Client {
        let holder = self.client().await;
        let hold = "begin isolation level repeatable read; select count(*) from pg_class";
        holder.batch_execute(hold).await.unwrap();
        holder
    }

    pub(crate) async fn lane(&self, node: NodeId) -> Lane {
        Lane::open(&self.config(), node).await.unwrap()
    }
}

impl Cluster {
    /// Makes a cluster and starts it. Without `durable`, nothing is flushed.
    pub(crate) fn start(label: &str, durable: bool) -> Self {
        Self::start_in(label, durable, &[])
    }

    /// The same in an environment of its own.
    pub(crate) fn start_in(label: &str, durable: bool, environment: &[(&str, &Path)]) -> Self {
        let mut initdb = Command::new(binaries().join("initdb"));
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]);
        Self::start_on(label, initdb, durable, environment)
    }

    /// A hot standby, which follows this one.
    pub(crate) fn standby(&self, label: &str) -> Self {
        let mut copy = Command::new(program("pg_basebackup"));
        copy.args(["-U", "postgres", "-R", "-X", "stream", "-c", "fast", "--no-sync"]);
        copy.arg("-h").arg(&self.directory).args(["-p", &self.port.to_string(), "-D"]);
        Self::start_on(label, copy, true, &[])
    }

    /// Makes a data directory, which `make` is told last, and starts the server on it.
    fn start_on(label: &str, mut make: Command, durable: bool, environment: &[(&str, &Path)]) -> Self {
        let user = unprivileged();
        let directory = std::env::temp_dir().join(format!("amends-{label}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        for file in ["server.crt", "server.key"] {
            let to = directory.join(file);
            std::fs::copy(fixture(file), &to).unwrap();
            std::fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            give(&to, user);
        }
        give(&directory, user);
        make.arg(directory.join("data"));
        let output = run_as(&mut make, user).current_dir(&directory).output().unwrap();
        assert!(output.status.success(), "{make:?}: {}", String::from_utf8_lossy(&output.stderr));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut settings = vec![
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", directory.display()),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", directory.join("server.crt").display()),
            format!("ssl_key_file={}", directory.join("server.key").display()),
            "max_connections=400".to_owned(),
            // Sooner than our lock_timeout, or no deadlock would ever be counted.
            "deadlock_timeout=20ms".to_owned(),
        ];
        if !durable {
            settings.extend(["fsync=off", "full_page_writes=off"].map(str::to_owned));
        }
        let environment = environment.iter().map(|(name, path)| ((*name).to_owned(), path.to_path_buf()));
        let (environment, server) = (environment.collect(), Mutex::new(None));
        let cluster = Self { directory, port, settings, environment, server };
        cluster.run(&[]);
        cluster
    }

    /// Starts the server, with further settings.
    pub(crate) fn run(&self, further: &[&str]) {
        let mut server = Command::new(binaries().join("postgres"));
        server.arg("-D").arg(self.directory.join("data"));
        server.args(self.settings.iter().flat_map(|setting| ["-c", setting]));
        server.args(further.iter().flat_map(|setting| ["-c", setting]));
        server.envs(self.environment.iter().map(|(name, path)| (name, path)));
        server.stdin(Stdio::null()).stdout(Stdio::null());
        server.stderr(std::fs::File::options().create(true).append(true).open(self.directory.join("log")).unwrap());
        let child = run_as(&mut server, unprivileged()).current_dir(&self.directory).spawn().unwrap();
        *self.server.lock().unwrap() = Some(child);
    }

    /// Stops the server at once, without a checkpoint: its data directory looks as after a crash.
    pub(crate) fn crash(&self) {
        if let Some(mut child) = self.server.lock().unwrap().take() {
            // SAFETY: a plain system call on a child that was not reaped yet.
            unsafe { libc::kill(child.id().cast_signed(), libc::SIGQUIT) };
            child.wait().ok();
        }
    }

    /// Kills the server and leaves its children to find that out.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.server.lock().unwrap().take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Starts the server anew until it stays: it refuses to while children of the one before are there.
    pub(crate) async fn run_until_it_stays(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            self.run(&[]);
            for _ in 0..100 {
                let ended = self
                    .server
                    .lock()
                    .unwrap()
                    .as_mut()
                    .is_some_and(|child| child.try_wait().is_ok_and(|s| s.is_some()));
                if ended {
                    break;
                }
                if tokio_postgres::connect(&self.url("postgres"), NoTls).await.is_ok() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert!(Instant::now() < deadline, "the server does not start; see {}", self.directory.display());
            self.kill();
        }
    }

    /// A file in the data directory.
    pub(crate) fn touch(&self, name: &str) {
        let path = self.directory.join("data").join(name);
        std::fs::write(&path, "").unwrap();
        give(&path, unprivileged());
    }

    /// Where its sockets and its data are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn url(&self, database: &str) -> String {
        let directory = self.directory.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{directory}:{}/{database}", self.port)
    }

    /// Waits until the server answers.
    pub(crate) async fn ready(&self) -> tokio_postgres::Client {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Ok((client, connection)) = tokio_postgres::connect(&self.url("postgres"), NoTls).await {
                tokio::spawn(connection);
                return client;
            }
            assert!(Instant::now() < deadline, "the server does not start; see {}", self.directory.display());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn prepare(&self) {
        let admin = self.ready().await;
        admin.batch_execute("create database amends_template template template0").await.unwrap();
        let config = PostgresConfig::parse(&self.url("amends_template")).unwrap();
        Store::connect(config).await.unwrap().migrate().await.unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.crash();
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

/// The cluster of this test run, started by whoever asks first.
pub(crate) fn cluster() -> &'static Cluster {
    CLUSTER.get_or_init(|| {
        // A thread of its own: the server dies with the thread that spawned it, and a test's thread ends
        // early.
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let cluster = Cluster::start("it", false);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(cluster.prepare());
            drop(runtime);
            sender.send(cluster).unwrap();
            loop {
                std::thread::park();
            }
        });
        // SAFETY: `stop` is an `extern "C"` function that neither unwinds nor needs anything that is gone at
        // exit.
        unsafe { libc::atexit(stop) };
        receiver.recv().unwrap()
    })
}

extern "C" fn stop() {
    if let Some(cluster) = CLUSTER.get() {
        cluster.crash();
        std::fs::remove_dir_all(&cluster.directory).ok();
    }
}

/// A file beside the tests.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures").join(name)
}

pub(crate) async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Longest wait for what must come to be, on a machine that is busy with other things, too.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `condition` holds.
pub(crate) async fn eventually<F: AsyncFnMut() -> bool>(what: &str, mut condition: F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Plays a scene that has to come before a deadline. On a busy machine the time may pass first: the scene answers
/// `false`, and gets four times as much.
pub(crate) async fn in_time(deadline_ms: u64, scene: impl AsyncFn(u64) -> bool) {
    for deadline_ms in [deadline_ms, 4 * deadline_ms, 16 * deadline_ms] {
        if scene(deadline_ms).await {
            return;
        }
    }
    panic!("the scene did not come before its deadline");
}

/// A program of Postgres' own.
pub(crate) fn program(name: &str) -> PathBuf {
    let beside = binaries().join(name);
    if beside.exists() { beside } else { name.into() }
}

fn binaries() -> PathBuf {
    if let Some(path) = std::env::var_os("AMENDS_PG_BIN") {
        return path.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(found) = std::env::split_paths(&path).find(|folder| folder.join("initdb").exists()) {
        return found;
    }
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("Postgres binaries in PATH, AMENDS_PG_BIN or /usr/lib/postgresql")
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .filter(|(_, path)| path.join("initdb").exists())
        .collect();
    versions.sort();
    versions.pop().expect("Postgres binaries in /usr/lib/postgresql").1
}

/// This binary, asked for one test that is a process of another test. It hears and says nothing, unless told where.
pub(crate) fn in_its_own_process(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs a test of this binary in a process of its own, and fails with what it said if it fails. `variable` tells the
/// test that it is that process.
pub(crate) fn passes_in_its_own_process(test: &str, variable: &str) {
    // A file: a process that the test leaves behind must not keep a pipe open.
    let output = std::env::temp_dir().join(format!("amends-it-{}-{variable}", std::process::id()));
    let said = std::fs::File::create(&output).unwrap();
    let ended = in_its_own_process(test).env(variable, "1").stderr(said).status().unwrap();
    let said = std::fs::read_to_string(&output).unwrap();
    std::fs::remove_file(&output).unwrap();
    assert!(ended.success(), "{said}");
}

/// Ends this process with the one that started it.
pub(crate) fn die_with_parent() {
    // SAFETY: a plain system call; the test that started us may be killed.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Whom to run the server as when the tests run as root, which it refuses.
pub(crate) fn unprivileged() -> Option<(u32, u32)> {
    // SAFETY: plain system calls; the returned record is read before the next call.
    unsafe {
        if libc::geteuid() != 0 {
            return None;
        }
        [c"postgres", c"nobody"].iter().find_map(|name| {
            let record = libc::getpwnam(name.as_ptr());
            (!record.is_null()).then(|| ((*record).pw_uid, (*record).pw_gid))
        })
    }
}

pub(crate) fn run_as(command: &mut Command, user: Option<(u32, u32)>) -> &mut Command {
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    // SAFETY: only async-signal-safe calls between fork and exec. Set after the change of user, which would
    // clear it.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGQUIT);
            Ok(())
        })
    }
}

fn give(path: &Path, user: Option<(u32, u32)>) {
    if let Some((uid, gid)) = user {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
    }
}
