//! A running postmaster. Tells whether it lives, and stops it. `cluster.rs` starts it.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use super::{Error, lockfile};
use crate::config::postgres::{POLL_MS, STOP_FAST_MS_MAX, STOP_IMMEDIATE_MS_MAX};

/// A postmaster of the embedded cluster.
#[derive(Debug)]
pub(super) enum Postmaster {
    /// This process started it.
    Child(Child),
    /// It already ran when this process became the owner.
    Adopted {
        pid: u32,
        data: PathBuf,
        /// A killed run of amends left it, so this process stops it. Otherwise a person started it and has to stop
        /// it.
        left_by_us: bool,
    },
}

impl Postmaster {
    /// Returns the exit status, if the postmaster has ended. The status of an adopted one is not known; 0 stands for
    /// it.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        match self {
            Self::Child(child) => child.try_wait().unwrap_or(Some(ExitStatus::from_raw(0))),
            Self::Adopted { pid, data, .. } => {
                (!lockfile::is_postmaster_of(*pid, data)).then(|| ExitStatus::from_raw(0))
            }
        }
    }

    /// Stops the postmaster cleanly. If that takes too long, stops it at once: the next start then needs a recovery,
    /// but no committed row is lost. Leaves a postmaster running that a person started.
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

    /// Waits for the end of the postmaster. Returns false when the limit passes first.
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

    /// Sends a signal, unless the postmaster has ended: then its process id may belong to another process.
    fn signal(&mut self, signal: libc::c_int) {
        if self.ended().is_some() {
            return;
        }
        if let Ok(pid) = libc::pid_t::try_from(self.pid()) {
            // SAFETY: a plain system call. The process lived at the check above. If it has ended since, the call
            // fails, and nothing is lost.
            unsafe { libc::kill(pid, signal) };
        }
    }
}
