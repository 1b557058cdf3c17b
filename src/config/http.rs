//! Limits of the HTTP door.

/// Threads that answer requests.
pub const WORKERS: usize = 1;
/// How long an idle connection is kept, in seconds.
pub const KEEP_ALIVE_S: u64 = 30;
/// Longest wait for the head of a request, in seconds.
pub const REQUEST_HEAD_S_MAX: u64 = 5;
/// Longest wait for requests under way when the server stops, in seconds.
pub const STOP_S_MAX: u64 = 5;
/// Pause between two rounds of upkeep of the metrics, in seconds.
pub const UPKEEP_S: u64 = 5;
