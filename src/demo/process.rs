//! Processes of the demo: starts them, signals them and kills them. `processes.rs` decides which process runs and
//! when.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};

/// Bytes of a log that are shown when its process failed.
const LOG_TAIL_BYTES: usize = 2_000;

/// A process of this binary, with its log.
#[derive(Debug)]
pub(super) struct Process {
    /// Name in messages: `node-1`.
    pub(super) name: String,
    log: PathBuf,
    child: Child,
}

/// What all processes of the demo share.
#[derive(Clone, Debug)]
pub(super) struct Launcher {
    /// Path of this binary.
    pub(super) program: PathBuf,
    /// Folder of settings and logs.
    pub(super) directory: PathBuf,
    /// Environment variables besides the inherited ones.
    pub(super) environment: Vec<(String, String)>,
}

impl Launcher {
    /// Starts this binary with `arguments`. On Linux the process dies with this one, however this one ends. `stdout`
    /// receives its answers; it appends its log to `NAME.log`.
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

/// Makes the kernel kill the child when the thread that started it ends. The demo starts all children from its main
/// thread.
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

/// Does nothing: on other systems the processes of a killed demo must be ended by hand.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command) {}

impl Process {
    /// Takes the pipe of its stdout, if stdout is a pipe; once.
    pub(super) fn stdout(&mut self) -> Option<tokio::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Returns its exit status if it has ended.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits until it ends.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub(super) async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Asks it to end, by SIGTERM.
    pub(super) fn terminate(&self) {
        self.signal(libc::SIGTERM);
    }

    /// Sends a signal: SIGSTOP stops it, SIGCONT continues it.
    pub(super) fn signal(&self, signal: libc::c_int) {
        let Some(id) = self.child.id().and_then(|id| libc::pid_t::try_from(id).ok()) else { return };
        // SAFETY: a plain system call. The child was not waited for yet, so the id still names it.
        unsafe {
            libc::kill(id, signal);
        }
    }

    /// Waits for its end until `limit`, then kills it. Returns whether it ended before the limit.
    pub(super) async fn join(&mut self, limit: Duration) -> io::Result<bool> {
        match tokio::time::timeout(limit, self.wait()).await {
            Ok(status) => status.map(|_| true),
            Err(_) => self.kill().await.map(|()| false),
        }
    }

    /// Returns the last bytes of its log.
    pub(super) fn log_tail(&self) -> String {
        tail(&self.log)
    }
}

fn tail(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let start = bytes.len().saturating_sub(LOG_TAIL_BYTES);
    String::from_utf8_lossy(&bytes[start..]).trim().to_owned()
}
