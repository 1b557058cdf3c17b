//! Processes of the demo: how they are started, told to end, and killed. Owns the operating system's side;
//! which process runs and when is decided in `processes.rs`.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};

/// How many bytes of a log are shown when its process ended badly.
const LOG_TAIL_BYTES: usize = 2_000;

/// A process of this binary with its log.
#[derive(Debug)]
pub(super) struct Process {
    /// Name for people: `node-1`.
    pub(super) name: String,
    log: PathBuf,
    child: Child,
}

/// What every process of the demo has in common.
#[derive(Clone, Debug)]
pub(super) struct Launcher {
    /// This binary.
    pub(super) program: PathBuf,
    /// Where settings and logs are.
    pub(super) directory: PathBuf,
    /// Environment besides the inherited one.
    pub(super) environment: Vec<(String, String)>,
}

impl Launcher {
    /// Starts this binary with `arguments`. It dies with us, whatever becomes of us. `stdout` is where its
    /// answers go; its log is `NAME.log`, appended to.
    pub(super) fn launch<S: AsRef<OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = S>,
        stdout: Stdio,
    ) -> io::Result<Process> {
        let log = self.directory.join(format!("{name}.log"));
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(File::options().create(true).append(true).open(&log)?)
            .kill_on_drop(true);
        die_with_parent(&mut command);
        Ok(Process { name: name.to_owned(), log, child: command.spawn()? })
    }
}

/// Asks the kernel to kill the child when the thread that starts it ends; the demo starts all of them from
/// its main thread.
#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    let prepare = move || {
        // SAFETY: both are plain system calls, which may be made between fork and exec.
        let (asked, orphaned) = unsafe {
            (libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL), u32::try_from(libc::getppid()) != Ok(parent))
        };
        match (asked, orphaned) {
            (0, false) => Ok(()),
            (0, true) => Err(io::Error::other("the parent is gone")),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure allocates nothing unless it fails, and takes no lock.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Elsewhere a killed demo leaves its processes to be ended by hand.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command) {}

impl Process {
    /// Takes what it writes to stdout, if that was piped; once.
    pub(super) fn stdout(&mut self) -> Option<tokio::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Returns how it ended, if it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for its end.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Kills it with SIGKILL and waits for its end.
    pub(super) async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) {
        self.signal(libc::SIGTERM);
    }

    /// Sends a signal: SIGSTOP halts it wherever it is, SIGCONT lets it go on.
    pub(super) fn signal(&self, signal: libc::c_int) {
        let Some(id) = self.child.id().and_then(|id| libc::pid_t::try_from(id).ok()) else { return };
        // SAFETY: a plain system call. The child was not waited for yet, so the id is still its own.
        unsafe {
            libc::kill(id, signal);
        }
    }

    /// Waits for its end until `limit`, then kills it. Returns whether it ended by itself.
    pub(super) async fn join(&mut self, limit: Duration) -> io::Result<bool> {
        match tokio::time::timeout(limit, self.wait()).await {
            Ok(status) => status.map(|_| true),
            Err(_) => self.kill().await.map(|()| false),
        }
    }

    /// Returns the end of its log.
    pub(super) fn log_tail(&self) -> String {
        tail(&self.log)
    }
}

fn tail(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let start = bytes.len().saturating_sub(LOG_TAIL_BYTES);
    String::from_utf8_lossy(&bytes[start..]).trim().to_owned()
}
