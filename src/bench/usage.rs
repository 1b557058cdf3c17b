//! Resource usage of a bench: processor time, memory, WAL. Reads it from the system. Reports nothing, never a guess,
//! where the system does not tell; only memory is 0 there.

use std::fs;

use tokio_postgres::Client;

use crate::cli::failure::Failure;

/// Returns the resident memory of this process in bytes; 0 where the system does not tell.
pub(super) fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1_024
}

/// Returns the processor time of this process so far, in seconds.
pub(super) fn cpu_s() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: a plain system call that fills the structure it is given; an all-zero structure is valid.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Reads the usage of a Postgres server through a connection to it.
pub(super) struct Server {
    client: Client,
    /// Process id of the postmaster, if the server runs on this machine and this process may see it.
    postmaster: Option<u32>,
}

/// Usage of the server up to one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    /// Bytes of WAL.
    wal_bytes: f64,
    /// Dead rows in the tables whose rows come and go.
    pub(super) dead_rows: f64,
    /// Processor time of all its processes, in seconds, if known.
    cpu_s: Option<f64>,
}

impl Used {
    /// Returns WAL in bytes and processor time in seconds since an earlier moment.
    pub(super) fn since(&self, before: &Self) -> (f64, Option<f64>) {
        let cpu_s = self.cpu_s.zip(before.cpu_s).map(|(now, then)| now - then);
        (self.wal_bytes - before.wal_bytes, cpu_s)
    }
}

impl Server {
    pub(super) async fn find(client: Client) -> Result<Self, Failure> {
        let row = client
            .query_one(
                "select pg_backend_pid() as pid, \
                 coalesce(inet_server_addr() = inet_client_addr(), true) as is_local",
                &[],
            )
            .await
            .map_err(failed)?;
        let backend = row.get::<_, bool>("is_local").then(|| row.get::<_, i32>("pid"));
        let backend = backend.and_then(|pid| u32::try_from(pid).ok()).and_then(Process::read);
        let postmaster = backend.filter(|one| one.name.starts_with("postgres")).map(|one| one.parent);
        Ok(Self { client, postmaster })
    }

    pub(super) async fn used(&self) -> Result<Used, Failure> {
        let sql = concat!(
            "with dead as (",
            include_str!("../../sql/queries/measure/tables.sql"),
            ") select (pg_current_wal_insert_lsn() - '0/0')::float8 as wal, sum(dead)::float8 as dead from dead"
        );
        let row = self.client.query_one(sql, &[]).await.map_err(failed)?;
        let cpu_s = self.postmaster.and_then(family_cpu_s);
        Ok(Used { wal_bytes: row.get("wal"), dead_rows: row.get("dead"), cpu_s })
    }
}

/// Converts an error of the bench's own statements.
pub(super) fn failed(error: tokio_postgres::Error) -> Failure {
    let words = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
    Failure::new(crate::cli::failure::Exit::Database, words)
}

/// A process, as /proc shows it.
struct Process {
    name: String,
    parent: u32,
    /// Ticks of the process itself, and of its children that have ended.
    own: f64,
    gone: f64,
}

impl Process {
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name is in parentheses and may contain any character.
        let (head, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
        Some(Self {
            name: head.split_once('(')?.1.to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            own: ticks(11)? + ticks(12)?,
            gone: ticks(13)? + ticks(14)?,
        })
    }
}

/// Returns the processor time of a postmaster, its live children, and its ended children.
fn family_cpu_s(postmaster: u32) -> Option<f64> {
    let head = Process::read(postmaster)?;
    let pids = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let children = pids.filter_map(Process::read).filter(|one| one.parent == postmaster);
    let ticks: f64 = head.own + head.gone + children.map(|one| one.own).sum::<f64>();
    // SAFETY: a plain system call without pointers.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    (per_second > 0).then(|| ticks / per_second as f64)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn processes_are_read_whatever_their_name_holds() {
        let own = Process::read(std::process::id()).unwrap();
        assert!(!own.name.is_empty() && own.parent > 0 && own.own >= 0.0);
        assert!(cpu_s() > 0.0 && resident_bytes() > 1_000_000);
        assert!(family_cpu_s(own.parent).unwrap() >= own.own / 100.0);
    }
}
