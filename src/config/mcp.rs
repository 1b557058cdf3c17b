//! Limits of the MCP door.

/// Default time that a call waits for its saga before it answers with a handle, in milliseconds. TypeScript hosts
/// give up after 60 s.
pub const WAIT_MS: u64 = 50_000;
/// Most characters of an unknown method's name that the answer repeats.
pub const METHOD_CHARS_MAX: usize = 100;
/// Longest wait of a call for its saga that the settings may set, in milliseconds.
pub const WAIT_MS_MAX: u64 = 600_000;
/// Longest time for which the settings may treat equal arguments as the same call, in milliseconds.
pub const DEDUPE_MS_MAX: u64 = 24 * 3_600_000;
/// Default for the most requests of one principal within a minute.
pub const REQUESTS_PER_MINUTE: u32 = 600;
/// Most requests per minute that the settings may allow.
pub const REQUESTS_PER_MINUTE_MAX: usize = 1_000_000;
/// How long a call waits before it answers with a task, if the client takes tasks, in milliseconds.
pub const TASK_AFTER_MS: u64 = 1_000;
/// Pause that clients are asked to keep between two polls of a task, in milliseconds.
pub const TASK_POLL_MS: u64 = 1_000;
/// First pause between two polls of a saga for its progress, in milliseconds; doubles until there is progress.
pub const PROGRESS_MS: u64 = 250;
/// Longest such pause, in milliseconds.
pub const PROGRESS_MS_MAX: u64 = 2_000;
/// Pause between two polls for changed tools, in milliseconds.
pub const TOOLS_REFRESH_MS: u64 = 1_000;
/// Pause between two checks whether a session that listens for changed tools is still open, in milliseconds.
pub const SESSION_LOOK_MS: u64 = 30_000;
/// How long a start is repeated under its key while the database is unavailable, in milliseconds.
pub const START_MS_MAX: u64 = 5_000;
/// Pause between two such starts, and between two polls for the outcome of a cancel, in milliseconds.
pub const START_PAUSE_MS: u64 = 100;
/// How long calls may take to answer when the door closes, in milliseconds.
pub const CLOSE_MS_MAX: u64 = 3_000;
/// How long the last answer may take through the transport, in milliseconds.
pub const LAST_ANSWER_MS: u64 = 100;
/// First pause between two polls of a saga for an approval that it asks, in milliseconds; doubles.
pub const ASK_MS: u64 = 100;
/// Longest such pause, in milliseconds.
pub const ASK_MS_MAX: u64 = 1_000;
/// Most bytes of a question that is put to people over MCP. `amends show` shows longer ones: people must see all of
/// what they approve.
pub const QUESTION_BYTES_MAX: usize = 16 << 10;
/// Most characters of a person's reason that are kept.
pub const REASON_CHARS_MAX: usize = 1_000;
/// Longest time to withdraw a question that needs no answer any more, in milliseconds.
pub const WITHDRAW_MS_MAX: u64 = 500;
/// How long a cancel waits for the saga's answer to its signal, in milliseconds.
pub const CANCEL_MS_MAX: u64 = 5_000;
/// Longest idempotency key, in bytes. The door adds the principal to it.
pub const KEY_BYTES_MAX: usize = 256;
/// Longest name of a principal within keys, in bytes. A longer name is replaced by its digest.
pub const PRINCIPAL_BYTES_MAX: usize = 128;
/// Longest wait for the keys of an authorization server, in milliseconds.
pub const KEYS_MS_MAX: u64 = 5_000;
/// Largest answer of an authorization server that is read, in bytes.
pub const KEYS_BYTES_MAX: usize = 1 << 20;
/// How long the keys of an authorization server count as fresh, in seconds.
pub const KEYS_FRESH_S: u64 = 600;
/// Shortest time between two requests for the keys once a set of keys is held, in seconds. Old keys and a token with
/// an unknown key lead to a request.
pub const KEYS_PAUSE_S: u64 = 10;
/// How far the clock of an authorization server may be off, in seconds.
pub const CLOCK_LEEWAY_S: u64 = 60;
/// Most failed authentications of one address within a minute that are answered with the reason. Further ones are
/// answered with 429.
pub const FAILURES_PER_MINUTE: u32 = 60;
/// Shortest time between two clean-ups of the counts of callers, in seconds.
pub const LIMITS_UPKEEP_S: u64 = 60;
/// Largest message, in bytes: the largest input of a saga and room for its envelope.
pub const MESSAGE_BYTES_MAX: usize = super::store::BODY_BYTES_MAX + (64 << 10);
/// Default number of sagas of a list.
pub const LIST_ROWS: usize = 20;
/// Most sagas of a list.
pub const LIST_ROWS_MAX: usize = 100;
/// Pause between two keep-alive messages on an open stream, in seconds. Intermediaries cut silent streams.
pub const KEEP_ALIVE_S: u64 = 15;
/// Most characters of the name that a client gives itself, as the journal keeps it.
pub const CLIENT_CHARS_MAX: usize = 64;
