//! Brings a cluster up: from nothing, or from what a killed run left, to a server that answers. `keeper.rs` decides
//! when, and in which process.

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

/// A cluster. It may not exist yet, and it may not run.
#[derive(Debug)]
pub(super) struct Cluster {
    places: Places,
    config: EmbeddedConfig,
}

/// Result of a start.
pub(super) enum Launched {
    /// The server answers.
    Answers(Postmaster),
    /// A stop was requested during the start. The server was told to stop.
    Stopped,
}

impl Cluster {
    /// Creates the data directory if it is missing, and lays out its paths.
    pub(super) fn prepare(config: &EmbeddedConfig) -> Result<Self, Error> {
        Ok(Self { places: Places::lay_out(&config.data_dir)?, config: config.clone() })
    }

    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// Starts or adopts the server, and returns when it answers. Only the holder of `lock` may call it.
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
                // Backends of a killed postmaster hold its shared memory until they notice its death. Postgres
                // refuses to start beside them, so the start is repeated for up to `REMAINS_MS_MAX`.
                Err(_) if remains && started.elapsed().as_millis() < u128::from(REMAINS_MS_MAX) => {
                    if stop.asked_within(Duration::from_millis(POLL_MS * 10)) {
                        return Ok(Launched::Stopped);
                    }
                }
                result => return result,
            }
        }
    }

    /// Looks for a postmaster that already runs on the data directory. On Linux a postmaster of a dead owner has been
    /// told to stop, so this waits for its end, for up to `PREDECESSOR_MS_MAX`. Returns the postmaster if it still
    /// runs.
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
        tracing::info!(pid, "adopting the Postgres that already runs on the data directory");
        Ok(Some(predecessor))
    }

    /// Starts the postmaster. Its command line holds the settings that `postgresql.conf` must not override.
    fn spawn(&self, binaries: &Binaries, account: &Account, lock: &mut File) -> Result<Postmaster, Error> {
        let log = self.places.open_log()?;
        let copy = log.try_clone().map_err(Error::io("open", &self.places.log))?;
        let program = binaries.program("postgres");
        // On Linux the postmaster gets SIGINT, a clean stop, when this process dies.
        let mut command = account.command(&program, &self.places.data, libc::SIGINT);
        command.arg("-D").arg(&self.places.data).stdout(log).stderr(copy);
        // The setting is a list. Its elements are quoted like identifiers.
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
            // The role has the name of our schema, so `"$user"` would put a program's own tables among ours.
            "search_path=public".to_owned(),
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

    /// Waits until the server answers. If the server ends, refuses the connection or takes too long, the error shows
    /// the new lines of its log.
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
                return Err(self.failed(log_before, format!("Postgres refused the connection: {reason}")));
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

    /// Reads what was logged after the log had the length `log_before`, at most the last `LOG_TAIL_BYTES_MAX` bytes.
    fn log_since(&self, log_before: u64) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut log) = File::open(&self.places.log) {
            let length = self.log_length();
            // A rotated log starts again at 0.
            let since = if log_before > length { 0 } else { log_before };
            let from = since.max(length.saturating_sub(LOG_TAIL_BYTES_MAX));
            // Best effort: the error that is being built matters more.
            let _ = log.seek(SeekFrom::Start(from)).and_then(|_| log.read_to_end(&mut bytes));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
