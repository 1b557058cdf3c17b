//! Limits of the embedded Postgres.

/// Longest wait for Postgres to answer after its start, including recovery, in milliseconds.
pub const START_MS_MAX: u64 = 120_000;
/// Longest wait for a clean stop of Postgres (its last checkpoint), in milliseconds.
pub const STOP_FAST_MS_MAX: u64 = 60_000;
/// Longest wait for a stop of Postgres without a checkpoint, in milliseconds.
pub const STOP_IMMEDIATE_MS_MAX: u64 = 10_000;
/// Longest wait for the Postgres of a killed owner to end, in milliseconds.
pub const PREDECESSOR_MS_MAX: u64 = 60_000;
/// How long a start is repeated while backends of a killed Postgres still hold its shared memory, in milliseconds.
pub const REMAINS_MS_MAX: u64 = 20_000;
/// Pause between two checks for an event that is expected soon, in milliseconds.
pub const POLL_MS: u64 = 10;
/// Pause between two checks for an event that should not happen, in milliseconds.
pub const WATCH_MS: u64 = 100;
/// Shortest pause before Postgres is started again after it stopped by itself, in milliseconds; doubles.
pub const RESTART_MS_MIN: u64 = 100;
/// Longest pause before Postgres is started again, in milliseconds.
pub const RESTART_MS_MAX: u64 = 5_000;
/// Longest wait for one answer at the socket, in milliseconds.
pub const PING_MS_MAX: u64 = 2_000;
/// Longest path of a socket, in bytes: Linux takes 107, macOS 103.
pub const SOCKET_PATH_BYTES_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
/// Largest log that a start continues, in bytes. A larger log is put aside.
pub const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most bytes from the end of the log that an error shows.
pub const LOG_TAIL_BYTES_MAX: u64 = 2_000;
