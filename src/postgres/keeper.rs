//! The thread that keeps a cluster running while this process lives. Owns the hand-over from the owner to a guest,
//! and restarts. `cluster.rs` brings the server up.
//!
//! It is one thread from start to stop: Linux sends a child its last signal when the thread that spawned it ends.

use std::fs::{File, TryLockError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Error;
use super::cluster::{Cluster, Launched};
use super::ping::{Answer, ping};
use super::postmaster::Postmaster;
use super::stop::Stop;
use crate::config::postgres::{POLL_MS, RESTART_MS_MAX, RESTART_MS_MIN, START_MS_MAX, WATCH_MS};

/// Role of a process in the cluster that it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// This process runs Postgres.
    Owner,
    /// Another process runs Postgres. This process takes over when that one leaves.
    Guest,
}

/// Handle of the keeper thread.
#[derive(Debug)]
pub(super) struct Keeper {
    owner: Arc<AtomicBool>,
    /// Dropping it tells the thread to stop.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Keeper {
    /// Starts the thread and waits until the cluster answers.
    pub(super) fn start(cluster: Cluster) -> Result<Self, Error> {
        let owner = Arc::new(AtomicBool::new(false));
        let (up, is_up) = mpsc::channel();
        let (stop, asked) = mpsc::channel();
        let path = cluster.places().lock.clone();
        let mut duty = Duty { cluster, owner: Arc::clone(&owner), up: Some(up), stop: Stop::new(asked) };
        let thread = thread::Builder::new()
            .name("amends-postgres".to_owned())
            .spawn(move || duty.keep())
            .map_err(Error::io("start the keeper thread for", &path))?;
        let mut keeper = Self { owner, stop: Some(stop), thread: Some(thread) };
        match is_up.recv() {
            Ok(()) => Ok(keeper),
            // The thread has ended, and its result says why.
            Err(_) => Err(keeper.stop().err().unwrap_or_else(|| Error::Failed {
                what: "the embedded Postgres stopped before it was ready".to_owned(),
                output: String::new(),
                log: None,
            })),
        }
    }

    pub(super) fn role(&self) -> Role {
        if self.owner.load(Ordering::Relaxed) { Role::Owner } else { Role::Guest }
    }

    /// Tells the thread to stop and waits for it.
    pub(super) fn stop(&mut self) -> Result<(), Error> {
        self.stop = None;
        let Some(thread) = self.thread.take() else { return Ok(()) };
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop = None;
        let Some(thread) = self.thread.take() else { return };
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the embedded Postgres did not stop cleanly"),
            Err(_) => tracing::error!("the keeper thread of the embedded Postgres panicked"),
        }
    }
}

/// State of the keeper thread.
struct Duty {
    cluster: Cluster,
    owner: Arc<AtomicBool>,
    /// Taken once the cluster has answered. Until then errors end the thread.
    up: Option<Sender<()>>,
    stop: Stop,
}

impl Duty {
    fn keep(&mut self) -> Result<(), Error> {
        let lock = self.cluster.places().open_lock()?;
        if !self.wait_as_guest(&lock)? {
            return Ok(());
        }
        self.owner.store(true, Ordering::Relaxed);
        // Closing the file releases the lock, after Postgres has stopped.
        self.serve_as_owner(lock)
    }

    /// Waits for the lock. Returns true when this process has it, false when a stop was requested.
    fn wait_as_guest(&mut self, lock: &File) -> Result<bool, Error> {
        let started = Instant::now();
        let limit = Duration::from_millis(START_MS_MAX);
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(true),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    return Err(Error::io("lock", &self.cluster.places().lock)(error));
                }
            }
            if self.up.is_some() {
                self.look_at_owner(started.elapsed(), limit)?;
            }
            let pause = if self.up.is_some() { POLL_MS } else { WATCH_MS };
            if self.stop.asked_within(Duration::from_millis(pause)) {
                return Ok(false);
            }
        }
    }

    /// Reports success once the owner's Postgres answers. Fails when it refuses the connection, or after the limit.
    fn look_at_owner(&mut self, waited: Duration, limit: Duration) -> Result<(), Error> {
        let reason = match ping(&self.cluster.places().socket()) {
            Answer::Ready => {
                self.report();
                return Ok(());
            }
            Answer::Refused(reason) => format!(": {reason}"),
            Answer::NotYet | Answer::Silent => String::new(),
        };
        if waited < limit && reason.is_empty() {
            return Ok(());
        }
        let lock = self.cluster.places().lock.clone();
        Err(Error::Busy { lock, waited_s: waited.as_secs(), reason })
    }

    fn serve_as_owner(&mut self, mut lock: File) -> Result<(), Error> {
        let mut pause = Duration::from_millis(RESTART_MS_MIN);
        loop {
            match self.cluster.launch(&mut lock, &self.stop) {
                Ok(Launched::Stopped) => return Ok(()),
                Ok(Launched::Answers(mut postmaster)) => {
                    self.report();
                    pause = Duration::from_millis(RESTART_MS_MIN);
                    if self.watch(&mut postmaster) {
                        return postmaster.stop(&self.cluster.places().log);
                    }
                }
                Err(error) if self.up.is_some() => return Err(error),
                Err(error) => tracing::error!(%error, "cannot restart the embedded Postgres; retrying"),
            }
            if self.stop.asked_within(pause) {
                return Ok(());
            }
            pause = (pause * 2).min(Duration::from_millis(RESTART_MS_MAX));
        }
    }

    /// Watches Postgres. Returns true when a stop was requested, false when Postgres ended by itself.
    fn watch(&self, postmaster: &mut Postmaster) -> bool {
        loop {
            if self.stop.asked_within(Duration::from_millis(WATCH_MS)) {
                return true;
            }
            if let Some(status) = postmaster.ended() {
                tracing::warn!(%status, "the embedded Postgres ended; restarting it");
                return false;
            }
        }
    }

    fn report(&mut self) {
        if let Some(up) = self.up.take() {
            // `Keeper::start` waits for this message.
            let _ = up.send(());
        }
    }
}
