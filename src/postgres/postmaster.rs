//! The running postmaster. Owns whether it lives and how it ends; starting it is left to `cluster.rs`.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use super::{Error, lockfile};
use crate::config::postgres::{POLL_MS, STOP_FAST_MS_MAX, STOP_IMMEDIATE_MS_MAX};

/// A postmaster that somebody started on our cluster.
#[derive(Debug)]
pub(super) enum Postmaster {
    /// We started it.
    Child(Child),
    /// It was there already.
    Adopted {
        pid: u32,
        data: PathBuf,
        /// A killed run of ours left it, so it is ours to stop. Otherwise a person started it, who will stop
        /// it.
        left_by_us: bool,
    },
}

impl Postmaster {
    /// Returns how it ended, if it has. The end of an adopted one is not known in detail.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        match self {
            Self::Child(child) => child.try_wait().unwrap_or(Some(ExitStatus::from_raw(0))),
            Self::Adopted { pid, data, .. } => {
                (!lockfile::is_postmaster_of(*pid, data)).then(|| ExitStatus::from_raw(0))
            }
        }
    }

    /// Ends it cleanly; if it takes too long, at once, which costs the next start a recovery but no committed
    /// row.
    pub(super) fn stop(&mut self, log: &Path) -> Result<(), Error> {
        if matches!(self, Self::Adopted { left_by_us: false, .. }) {
            return Ok(());
        }
        for (signal, limit_ms) in [(libc::SIGINT, STOP_FAST_MS_MAX), (libc::SIGQUIT, STOP_IMMEDIATE_MS_MAX)] {
            self.signal(signal);
            if self.ends_within(Duration::from_millis(limit_ms)) {
                return Ok(());
            }
        }
        let pid = self.pid();
        Err(Error::Failed {
            what: format!("Postgres (process {pid}) did not stop when it was told to"),
            output: String::new(),
            log: Some(log.to_owned()),
        })
    }

    /// Waits for its end.
    pub(super) fn ends_within(&mut self, limit: Duration) -> bool {
        let started = Instant::now();
        while self.ended().is_none() {
            if started.elapsed() >= limit {
                return false;
            }
            std::thread::sleep(Duration::from_millis(POLL_MS));
        }
        true
    }

    fn pid(&self) -> u32 {
        match self {
            Self::Child(child) => child.id(),
            Self::Adopted { pid, .. } => *pid,
        }
    }

    /// Sends a signal, unless it has ended: then its number may be another's.
    fn signal(&mut self, signal: libc::c_int) {
        if self.ended().is_some() {
            return;
        }
        if let Ok(pid) = libc::pid_t::try_from(self.pid()) {
            // SAFETY: the process lives, as checked above; if it ended since, the call fails and nothing is
            // lost.
            unsafe { libc::kill(pid, signal) };
        }
    }
}
