//! Runs an MCP server as a child process: its start, its user, its environment, its error output and its end. To end
//! it, closes its input, then sends SIGTERM and then SIGKILL to its whole process group. However it ends, the rest of
//! its group is killed.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::participant::{CHILD_GRACE, CHILD_LINE_BYTES_MAX};
use crate::participant::secret::{Filter, Secret};
use crate::postgres::{self, User};

/// Environment variables that a child always inherits: those that programs need to start, and no secrets.
const INHERITED: [&str; 6] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM"];

/// The program of a child, with its arguments and environment.
pub(in crate::participant) struct Program {
    pub(in crate::participant) command: Secret,
    pub(in crate::participant) args: Vec<Secret>,
    pub(in crate::participant) env: BTreeMap<String, Secret>,
    pub(in crate::participant) cwd: Option<Secret>,
    /// The user that runs it; none for that of this process.
    pub(in crate::participant) user: Option<User>,
}

/// Looks up the user that the settings name for a child. This process must be able to become that user.
pub(in crate::participant) fn user(name: &str) -> Result<User, String> {
    let user = postgres::user(name).ok_or_else(|| {
        format!("expected the name of a user of this machine, found {name:?}; create it, or correct it")
    })?;
    let own = postgres::uid();
    if postgres::is_root() || user.uid == own {
        return Ok(user);
    }
    Err(format!(
        "expected a node that runs as root, which alone can start a program as {name:?}, found user id {own}; run \
         amends as root, or remove `user`"
    ))
}

/// A started child, and our ends of its pipes.
pub(super) struct Started {
    pub(super) process: Process,
    pub(super) input: ChildStdin,
    pub(super) output: ChildStdout,
}

/// A running child.
pub(super) struct Process {
    child: Child,
    last_line: Arc<Mutex<String>>,
}

/// Starts a child. Its error output goes to the log, line by line and without secrets.
pub(super) fn start(name: &str, program: &Program, filter: &Filter) -> std::io::Result<Started> {
    let mut command = Command::new(program.command.expose());
    command
        .args(program.args.iter().map(Secret::expose))
        .env_clear()
        .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    if let Some(user) = &program.user {
        command.env("HOME", &user.home).env("USER", &user.name).env("LOGNAME", &user.name);
        // As root, this also gives up all other groups.
        command.gid(user.gid).uid(user.uid);
    }
    command
        .envs(program.env.iter().map(|(name, value)| (name, value.expose())))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // The child has its own process group. So Ctrl-C does not reach it, and the processes that it starts end with
        // it.
        .process_group(0)
        .kill_on_drop(true);
    if let Some(cwd) = &program.cwd {
        command.current_dir(cwd.expose());
    }
    let mut child = command.spawn()?;
    let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(std::io::Error::other("the child has no pipes"));
    };
    let last_line = Arc::new(Mutex::new(String::new()));
    tokio::spawn(log_lines(name.to_owned(), errors, filter.clone(), Arc::clone(&last_line)));
    Ok(Started { process: Process { child, last_line }, input, output })
}

/// Logs each line until the end of the output, and keeps the last one.
async fn log_lines(name: String, mut errors: impl AsyncRead + Unpin, filter: Filter, last_line: Arc<Mutex<String>>) {
    let mut line = Vec::new();
    let mut chunk = [0; 4_096];
    let finish = |line: &mut Vec<u8>| {
        let text = String::from_utf8_lossy(line).trim().to_owned();
        let whole = line.len() < CHILD_LINE_BYTES_MAX;
        let text = if whole { filter.clean(text) } else { filter.clean_beginning(text) };
        line.clear();
        if !text.is_empty() {
            tracing::debug!(participant = name, line = text, "participant wrote to its error output");
            *last_line.lock().unwrap_or_else(PoisonError::into_inner) = text;
        }
    };
    while let Ok(count @ 1..) = errors.read(&mut chunk).await {
        for byte in &chunk[..count] {
            match byte {
                b'\n' => finish(&mut line),
                _ if line.len() < CHILD_LINE_BYTES_MAX => line.push(*byte),
                _ => {}
            }
        }
    }
    finish(&mut line);
}

impl Process {
    /// Waits for the child's end. Ends the child once `stop` is cancelled; its input is closed by then. Returns how
    /// it ended, for people.
    pub(super) async fn attend(mut self, stop: CancellationToken) -> String {
        tokio::select! {
            () = self.exited() => {}
            () = stop.cancelled() => self.end().await,
        }
        // What the child has started ends with it. The child is not reaped yet, so no other group has its number.
        self.signal_group(libc::SIGKILL);
        let status = self.child.wait().await;
        self.describe(status)
    }

    /// Ends the child, unless SIGKILL is needed for it.
    async fn end(&self) {
        for signal in [None, Some(libc::SIGTERM)] {
            if let Some(signal) = signal {
                self.signal_group(signal);
            }
            if timeout(CHILD_GRACE, self.exited()).await.is_ok() {
                return;
            }
        }
    }

    /// Waits until the child has exited, and leaves it unreaped.
    async fn exited(&self) {
        let Some(id) = self.child.id() else { return };
        // The system has no more room for a handler: looks again now and then.
        let mut signals = signal(SignalKind::child()).ok();
        while !has_exited(id) {
            let told = async {
                match &mut signals {
                    Some(signals) => drop(signals.recv().await),
                    None => std::future::pending().await,
                }
            };
            let _ = timeout(CHILD_GRACE, told).await;
        }
    }

    /// Sends a signal to the child's process group, while the child has not been waited for.
    #[expect(unsafe_code, reason = "std offers no signal to a process group")]
    fn signal_group(&self, signal: i32) {
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            // SAFETY: kill(2) takes no pointers; the id is our child's, which is not reaped yet.
            unsafe { libc::kill(-id, signal) };
        }
    }

    fn describe(&self, status: std::io::Result<ExitStatus>) -> String {
        let status = match status {
            Ok(status) => format!("the server's process ended with {status}"),
            Err(error) => format!("the server's process was lost: {error}"),
        };
        let last_line = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
        if last_line.is_empty() { status } else { format!("{status}; its last error line: {last_line}") }
    }
}

impl Drop for Process {
    /// Kills the group of a child that is not attended to any more.
    fn drop(&mut self) {
        self.signal_group(libc::SIGKILL);
    }
}

/// Whether a child has exited. Leaves it unreaped.
#[expect(unsafe_code, reason = "std offers no look at a child without reaping it")]
fn has_exited(id: u32) -> bool {
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    let mut found = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: `found` is a valid place for the answer. Zeroed it is valid, too, and it stays so if no child has exited.
    let (code, pid) = unsafe {
        let code = libc::waitid(libc::P_PID, id, found.as_mut_ptr(), flags);
        (code, found.assume_init_ref().si_pid())
    };
    // An error means that there is no such child any more.
    code != 0 || pid != 0
}
