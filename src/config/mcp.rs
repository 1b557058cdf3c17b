//! Limits of the MCP door.

/// How long a call waits for its saga before it answers with a handle, in milliseconds, unless the settings say
/// otherwise. TypeScript hosts give up after 60 s.
pub const WAIT_MS: u64 = 50_000;
/// Most of an unknown method's name that is repeated to whoever asked for it, in characters.
pub const METHOD_CHARS_MAX: usize = 100;
/// Longest time that the settings may let a call wait, in milliseconds.
pub const WAIT_MS_MAX: u64 = 600_000;
/// Longest time that equal arguments may be the same call, in milliseconds.
pub const DEDUPE_MS_MAX: u64 = 24 * 3_600_000;
/// Requests of one principal within a minute, unless the settings say otherwise.
pub const REQUESTS_PER_MINUTE: u32 = 600;
/// Most that the settings may allow.
pub const REQUESTS_PER_MINUTE_MAX: usize = 1_000_000;
/// How long a call of a client that takes tasks waits before it answers with one, in milliseconds.
pub const TASK_AFTER_MS: u64 = 1_000;
/// Pause between two looks at a task that clients are asked for, in milliseconds.
pub const TASK_POLL_MS: u64 = 1_000;
/// Pause between two looks at a saga whose progress is told, in milliseconds.
pub const PROGRESS_MS: u64 = 250;
/// Longest such pause, in milliseconds.
pub const PROGRESS_MS_MAX: u64 = 2_000;
/// Pause between two looks whether the tools have changed, in milliseconds.
pub const TOOLS_REFRESH_MS: u64 = 1_000;
/// Pause after which a session that hears of changes is looked after, in milliseconds.
pub const SESSION_LOOK_MS: u64 = 30_000;
/// How long a start is repeated under its key while the database is away, in milliseconds.
pub const START_MS_MAX: u64 = 5_000;
/// Pause between two such starts, in milliseconds.
pub const START_PAUSE_MS: u64 = 100;
/// How long calls that were told to end may take to answer, in milliseconds.
pub const CLOSE_MS_MAX: u64 = 3_000;
/// How long an answer may be on its way through the transport, in milliseconds.
pub const LAST_ANSWER_MS: u64 = 100;
/// Pause between two looks whether a saga asks for an approval, in milliseconds.
pub const ASK_MS: u64 = 100;
/// Longest such pause, in milliseconds.
pub const ASK_MS_MAX: u64 = 1_000;
/// Most bytes of a question that is put to people over MCP; whatever is longer is left to `amends show`, since
/// nobody may approve what is not shown whole.
pub const QUESTION_BYTES_MAX: usize = 16 << 10;
/// Most characters that are kept of a person's reason.
pub const REASON_CHARS_MAX: usize = 1_000;
/// How long a question that nobody needs an answer to any more may take to be withdrawn, in milliseconds.
pub const WITHDRAW_MS_MAX: u64 = 500;
/// How long a cancel waits for the saga's word, in milliseconds.
pub const CANCEL_MS_MAX: u64 = 5_000;
/// Longest idempotency key, in bytes; the door adds the principal to it.
pub const KEY_BYTES_MAX: usize = 256;
/// Longest name of a principal within keys, in bytes; of longer ones the digest is taken.
pub const PRINCIPAL_BYTES_MAX: usize = 128;
/// Longest wait for the keys of an authorization server, in milliseconds.
pub const KEYS_MS_MAX: u64 = 5_000;
/// Largest answer of an authorization server, in bytes.
pub const KEYS_BYTES_MAX: usize = 1 << 20;
/// How long the keys of an authorization server are taken for fresh, in seconds.
pub const KEYS_FRESH_S: u64 = 600;
/// Pause before keys are asked for again because of a token whose key is not known, in seconds.
pub const KEYS_PAUSE_S: u64 = 10;
/// How far the clock of an authorization server may be off, in seconds.
pub const CLOCK_LEEWAY_S: u64 = 60;
/// Failed proofs of one address within a minute that are told what is wrong with them.
pub const FAILURES_PER_MINUTE: u32 = 60;
/// Pause between two clean-ups of what is known of callers, in seconds.
pub const LIMITS_UPKEEP_S: u64 = 60;
/// Largest message, in bytes: the largest input of a saga, and room for its envelope.
pub const MESSAGE_BYTES_MAX: usize = super::store::BODY_BYTES_MAX + (64 << 10);
/// Sagas of a list, unless asked for less.
pub const LIST_ROWS: usize = 20;
/// Most sagas of a list.
pub const LIST_ROWS_MAX: usize = 100;
/// Pause between two signs of life on an open stream, in seconds; intermediaries cut silent ones.
pub const KEEP_ALIVE_S: u64 = 15;
