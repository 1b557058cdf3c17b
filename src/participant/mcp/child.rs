//! Runs an MCP server as a child process: its start, its environment, its error output and its end. To end it, closes
//! its input, then sends SIGTERM and then SIGKILL to its whole process group.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::participant::{CHILD_GRACE, CHILD_LINE_BYTES_MAX};
use crate::participant::secret::{Filter, Secret};

/// Environment variables that a child always inherits: those that programs need to start, and no secrets.
const INHERITED: [&str; 6] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM"];

/// The program of a child, with its arguments and environment.
pub(in crate::participant) struct Program {
    pub(in crate::participant) command: Secret,
    pub(in crate::participant) args: Vec<Secret>,
    pub(in crate::participant) env: BTreeMap<String, Secret>,
    pub(in crate::participant) cwd: Option<Secret>,
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
        .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
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
        let by_itself = tokio::select! {
            status = self.child.wait() => Some(status),
            () = stop.cancelled() => None,
        };
        let status = match by_itself {
            Some(status) => status,
            None => self.end().await,
        };
        self.describe(status)
    }

    async fn end(&mut self) -> std::io::Result<ExitStatus> {
        for signal in [None, Some(libc::SIGTERM)] {
            if let Some(signal) = signal {
                self.signal_group(signal);
            }
            if let Ok(status) = timeout(CHILD_GRACE, self.child.wait()).await {
                return status;
            }
        }
        self.signal_group(libc::SIGKILL);
        self.child.wait().await
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
