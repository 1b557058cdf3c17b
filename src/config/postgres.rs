//! Limits of the embedded Postgres.

/// Longest wait for Postgres to answer after its start, recovery included, in milliseconds.
pub const START_MS_MAX: u64 = 120_000;
/// Longest wait for a clean end of Postgres (its last checkpoint), in milliseconds.
pub const STOP_FAST_MS_MAX: u64 = 60_000;
/// Longest wait for an end of Postgres without a checkpoint, in milliseconds.
pub const STOP_IMMEDIATE_MS_MAX: u64 = 10_000;
/// Longest wait for the end of the Postgres of a killed owner, in milliseconds.
pub const PREDECESSOR_MS_MAX: u64 = 60_000;
/// How long a start is repeated while backends of a killed Postgres still hold its memory, in
/// milliseconds.
pub const REMAINS_MS_MAX: u64 = 20_000;
/// Pause between two looks at something that is about to happen, in milliseconds.
pub const POLL_MS: u64 = 10;
/// Pause between two looks at something that should not happen, in milliseconds.
pub const WATCH_MS: u64 = 100;
/// Shortest pause before Postgres is started again after it ended by itself, in milliseconds.
pub const RESTART_MS_MIN: u64 = 100;
/// Longest pause before Postgres is started again, in milliseconds.
pub const RESTART_MS_MAX: u64 = 5_000;
/// Longest wait for one answer at the socket, in milliseconds.
pub const PING_MS_MAX: u64 = 2_000;
/// Longest path of a socket, in bytes: Linux takes 107, macOS 103.
pub const SOCKET_PATH_BYTES_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
/// Size from which the log is put aside at a start, in bytes.
pub const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How much of the end of the log an error shows, in bytes.
pub const LOG_TAIL_BYTES_MAX: u64 = 2_000;
