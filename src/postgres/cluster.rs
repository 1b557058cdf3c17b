//! Brings a cluster up. Owns the order of things from nothing, or from what a killed run left, to a server
//! that answers; who may do so at which time is left to `keeper.rs`.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::time::{Duration, Instant};

use super::binaries::Binaries;
use super::os_user::Account;
use super::paths::{PORT, Places};
use super::ping::{Answer, ping};
use super::postmaster::Postmaster;
use super::stop::Stop;
use super::{EmbeddedConfig, Error, initialise, lockfile};
use crate::config::postgres::{LOG_TAIL_BYTES_MAX, POLL_MS, PREDECESSOR_MS_MAX, REMAINS_MS_MAX, START_MS_MAX};

/// A cluster that may or may not run, or exist.
#[derive(Debug)]
pub(super) struct Cluster {
    places: Places,
    config: EmbeddedConfig,
}

/// What came of a start.
pub(super) enum Launched {
    /// The server answers.
    Answers(Postmaster),
    /// We were asked to stop meanwhile, and did.
    Stopped,
}

impl Cluster {
    /// Lays out the data directory.
    pub(super) fn prepare(config: &EmbeddedConfig) -> Result<Self, Error> {
        Ok(Self { places: Places::lay_out(&config.data_dir)?, config: config.clone() })
    }

    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// Brings the server up and returns when it answers. Only the holder of `lock` may call it.
    pub(super) fn launch(&self, lock: &mut File, stop: &Stop) -> Result<Launched, Error> {
        if let Some(adopted) = self.outlive_predecessor(lock)? {
            return self.until_ready(adopted, self.log_length(), stop);
        }
        let account = Account::choose(&self.places.data)?;
        let binaries = Binaries::find(self.config.binaries.as_deref(), &self.places.data, &account)?;
        self.places.furnish(&account)?;
        let mut remains = lockfile::disown(&self.places.data.join("postmaster.pid"))?;
        remains |= lockfile::disown(&self.places.socket_lock())?;
        if !self.places.data.exists() {
            initialise::initialise(&self.places, &binaries, &account)?;
        }
        let started = Instant::now();
        loop {
            let log_before = self.log_length();
            let postmaster = self.spawn(&binaries, &account, lock)?;
            match self.until_ready(postmaster, log_before, stop) {
                // Backends of a killed postmaster hold its shared memory until they notice, and Postgres
                // rightly refuses to start beside them.
                Err(_) if remains && started.elapsed().as_millis() < u128::from(REMAINS_MS_MAX) => {
                    if stop.asked_within(Duration::from_millis(POLL_MS * 10)) {
                        return Ok(Launched::Stopped);
                    }
                }
                result => return result,
            }
        }
    }

    /// Waits for the end of a postmaster whose owner is gone: on Linux it has been told to end. Returns it if
    /// it stays.
    fn outlive_predecessor(&self, lock: &mut File) -> Result<Option<Postmaster>, Error> {
        let Some(pid) = lockfile::living_postmaster(&self.places.data) else { return Ok(None) };
        let mut recorded = String::new();
        lock.seek(SeekFrom::Start(0))
            .and_then(|_| lock.read_to_string(&mut recorded))
            .map_err(Error::io("read", &self.places.lock))?;
        let left_by_us = recorded.trim() == pid.to_string();
        let mut predecessor = Postmaster::Adopted { pid, data: self.places.data.clone(), left_by_us };
        let ends = cfg!(target_os = "linux") && left_by_us;
        if ends && predecessor.ends_within(Duration::from_millis(PREDECESSOR_MS_MAX)) {
            return Ok(None);
        }
        tracing::info!(pid, "adopts the Postgres that runs on the data directory already");
        Ok(Some(predecessor))
    }

    /// Starts the postmaster. Its command line holds what must not be configured away.
    fn spawn(&self, binaries: &Binaries, account: &Account, lock: &mut File) -> Result<Postmaster, Error> {
        let log = self.places.open_log()?;
        let copy = log.try_clone().map_err(Error::io("open", &self.places.log))?;
        let program = binaries.program("postgres");
        // Told to end cleanly when we die.
        let mut command = account.command(&program, &self.places.data, libc::SIGINT);
        command.arg("-D").arg(&self.places.data).stdout(log).stderr(copy);
        // A list, whose elements are quoted like identifiers.
        let socket_dir = self.places.socket_dir.display().to_string().replace('"', "\"\"");
        let mut settings = vec![
            "listen_addresses=".to_owned(),
            format!("unix_socket_directories=\"{socket_dir}\""),
            "unix_socket_permissions=0700".to_owned(),
            format!("port={PORT}"),
            "fsync=on".to_owned(),
            "full_page_writes=on".to_owned(),
            "logging_collector=off".to_owned(),
            "log_destination=stderr".to_owned(),
            "lc_messages=C".to_owned(),
        ];
        if cfg!(target_os = "linux") {
            // After a crash: one syncfs instead of an fsync of each file, 0.2 s instead of 2 s.
            settings.push("recovery_init_sync_method=syncfs".to_owned());
        }
        for setting in settings {
            command.arg("-c").arg(setting);
        }
        let child = command.spawn().map_err(Error::io("run", &program))?;
        lock.set_len(0)
            .and_then(|()| lock.seek(SeekFrom::Start(0)))
            .and_then(|_| lock.write_all(child.id().to_string().as_bytes()))
            .map_err(Error::io("write", &self.places.lock))?;
        Ok(Postmaster::Child(child))
    }

    /// Waits until the server answers; if it ends or takes too long, says what it wrote.
    fn until_ready(&self, mut postmaster: Postmaster, log_before: u64, stop: &Stop) -> Result<Launched, Error> {
        let started = Instant::now();
        let socket = self.places.socket();
        loop {
            if let Some(status) = postmaster.ended() {
                return Err(self.failed(log_before, format!("Postgres did not start ({status})")));
            }
            let refused = match ping(&socket) {
                Answer::Ready => return Ok(Launched::Answers(postmaster)),
                Answer::Refused(reason) => Some(reason),
                Answer::NotYet | Answer::Silent => None,
            };
            if let Some(reason) = refused {
                postmaster.stop(&self.places.log)?;
                return Err(self.failed(log_before, format!("Postgres will not have us: {reason}")));
            }
            if started.elapsed() >= Duration::from_millis(START_MS_MAX) {
                postmaster.stop(&self.places.log)?;
                let seconds = START_MS_MAX / 1_000;
                return Err(self.failed(log_before, format!("Postgres did not answer within {seconds} s")));
            }
            if stop.asked_within(Duration::from_millis(POLL_MS)) {
                postmaster.stop(&self.places.log)?;
                return Ok(Launched::Stopped);
            }
        }
    }

    fn log_length(&self) -> u64 {
        self.places.log.metadata().map_or(0, |log| log.len())
    }

    fn failed(&self, log_before: u64, what: String) -> Error {
        let log = self.places.log.clone();
        Error::Failed { what, output: self.log_since(log_before), log: Some(log) }
    }

    /// Reads what was logged since the log had a length, or the end of it.
    fn log_since(&self, log_before: u64) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut log) = File::open(&self.places.log) {
            let length = self.log_length();
            // A log that was put aside starts anew.
            let since = if log_before > length { 0 } else { log_before };
            let from = since.max(length.saturating_sub(LOG_TAIL_BYTES_MAX));
            // Best effort: the error that is being made matters more.
            let _ = log.seek(SeekFrom::Start(from)).and_then(|_| log.read_to_end(&mut bytes));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
