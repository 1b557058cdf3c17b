//! Limits of the HTTP door.

/// How long an idle connection is kept, in seconds.
pub const KEEP_ALIVE_S: u64 = 30;
/// Longest wait for the head of a request, in seconds.
pub const REQUEST_HEAD_S_MAX: u64 = 5;
/// Longest time for a whole request to arrive, head and body, in seconds.
pub const REQUEST_S_MAX: u64 = 20;
/// How long a client may take nothing of an answer that is ready, in seconds.
pub const WRITE_S_MAX: u64 = 30;
/// How long a connection stays open after an answer whose request was not read to its end, in seconds: the client gets
/// time to read the answer.
pub const LINGER_S: u64 = 2;
/// Pause between two checks of a connection for its deadline, in milliseconds.
pub const DEADLINE_LOOK_MS: u64 = 500;
/// Most connections of one HTTP server.
pub const CONNECTIONS_MAX: usize = 1_000;
/// The part of the process's open files that one HTTP server may have as connections: one of this many. The rest is
/// for the database, the participants and a second server.
pub const CONNECTIONS_PART_OF_FILES: usize = 4;
/// The part of the connections that one address may have: one of this many.
pub const CONNECTIONS_PART_OF_ADDRESS: usize = 2;
/// Pause after a connection could not be accepted for want of a file descriptor, in milliseconds.
pub const ACCEPT_PAUSE_MS: u64 = 50;
/// Longest wait for requests under way when the server stops, in seconds.
pub const STOP_S_MAX: u64 = 5;
/// Pause between two rounds of upkeep of the metrics, in seconds.
pub const UPKEEP_S: u64 = 5;
