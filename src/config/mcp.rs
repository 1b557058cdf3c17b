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
/// Most keys of an authorization server that are kept.
pub const KEYS_MAX: usize = 100;
/// How long the keys of an authorization server count as fresh, in seconds. Older ones are read again.
pub const KEYS_FRESH_S: u64 = 600;
/// How long the keys of an authorization server are used while it does not answer, in seconds.
pub const KEYS_AGE_S_MAX: u64 = 24 * 3_600;
/// Shortest time between two requests for the keys, in seconds. A token with an unknown key or a wrong signature leads
/// to a request.
pub const KEYS_PAUSE_S: u64 = 5;
/// The same after a request that failed, in seconds.
pub const KEYS_RETRY_S: u64 = 1;
/// How far the clock of an authorization server may be off, in seconds.
pub const CLOCK_LEEWAY_S: u64 = 60;
/// Most failed authentications of one address within a minute, or of one /64 network of IPv6. Then callers of that
/// network whose token was not valid a moment ago are answered with 429, and their tokens are not looked up.
pub const FAILURES_PER_MINUTE: u32 = 60;
/// Most networks whose failed authentications are counted one by one. All others share one count.
pub const FAILING_NETWORKS_MAX: usize = 1 << 16;
/// Most tokens in each half of the memory of valid tokens, and of that of refused ones.
pub const TOKENS_REMEMBERED_MAX: usize = 10_000;
/// How long a valid token is remembered at least, in seconds. The budget of failures does not hold it up.
pub const TOKEN_VALID_S: u64 = 600;
/// How long a refused token is remembered at least, in seconds. It is refused again without a look-up.
pub const TOKEN_REFUSED_S: u64 = 60;
/// Most look-ups at a time of tokens that were not valid a moment ago.
pub const TOKEN_LOOKUPS_MAX: usize = 16;
/// Default life of a token of `amends token add`.
pub const TOKEN_LIFE: &str = "90days";
/// Longest life of a token that is not for ever, in milliseconds: 100 years.
pub const TOKEN_LIFE_MS_MAX: u64 = 100 * 365 * 24 * 3_600_000;
/// Pause between two looks whether a token exists, in milliseconds. A node that asks for no tokens looks when it is
/// called.
pub const TOKENS_LOOK_MS: u64 = 1_000;
/// Longest wait for such a look, in milliseconds.
pub const TOKENS_LOOK_MS_MAX: u64 = 2_000;
/// Default scopes of callers on this machine that need no token.
pub const LOCAL_SCOPES: [&str; 2] = ["start:*", "read:*"];
/// Time for which a key seals new session ids, in seconds. It opens them for as long again.
pub const SESSION_KEY_S: u64 = 7 * 24 * 3_600;
/// How long a node uses the keys of session ids before it reads them again, in seconds.
pub const SESSION_KEYS_FRESH_S: u64 = 3_600;
/// Pause after a failed read of these keys while older ones are held, in seconds.
pub const SESSION_KEYS_RETRY_S: u64 = 60;
/// Shortest time between two clean-ups of the counts of callers, in seconds.
pub const LIMITS_UPKEEP_S: u64 = 60;
/// Largest message, in bytes: the largest input of a saga and room for its envelope.
pub const MESSAGE_BYTES_MAX: usize = super::store::BODY_BYTES_MAX + (64 << 10);
/// Longest time for the body of a request to arrive, in seconds.
pub const BODY_S_MAX: u64 = 15;
/// The beginning of each body that is taken in whatever else is held, in bytes.
pub const BODY_FREE_BYTES: usize = 64 << 10;
/// Most bytes of longer bodies that are held in total, until their requests are answered.
pub const BODIES_BYTES_MAX: usize = 16 << 20;
/// Most such bytes of one principal.
pub const BODIES_BYTES_OF_PRINCIPAL_MAX: usize = 4 << 20;
/// Largest message that begins a session, in bytes.
pub const INITIALIZE_BYTES_MAX: usize = 64 << 10;
/// Most sessions over HTTP in total.
pub const SESSIONS_MAX: usize = 500;
/// Most sessions over HTTP of one principal.
pub const SESSIONS_OF_PRINCIPAL_MAX: usize = 200;
/// Default number of sagas of a list.
pub const LIST_ROWS: usize = 20;
/// Most sagas of a list.
pub const LIST_ROWS_MAX: usize = 100;
/// Pause between two keep-alive messages on an open stream, in seconds. Intermediaries cut silent streams.
pub const KEEP_ALIVE_S: u64 = 15;
/// Most characters of the name that a client gives itself, as the journal keeps it.
pub const CLIENT_CHARS_MAX: usize = 64;
