//! Limits of the store.

/// Most transitions of one batch.
pub const BATCH_ROWS_MAX: usize = 500;
/// Most bytes of bodies of one batch, unless a single one is larger.
pub const BATCH_BYTES_MAX: usize = 8 << 20;
/// A saga whose journal could not be read is tried again after so long, in milliseconds.
pub const UNREADABLE_RETRY_MS: u64 = 600_000;
/// Largest input, request or body, in bytes; `amends.start` and `amends.request` know the same limit.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Longest idempotency key of a start, in bytes.
pub const KEY_BYTES_MAX: usize = 512;
/// How often one call of `commit` sends a batch before it says that the database is unavailable.
pub const COMMIT_SENDS_MAX: u32 = 4;
/// Pause before the second send of a batch, in milliseconds; doubles.
pub const COMMIT_PAUSE_MS: u64 = 20;
/// Longest wait for the answer to a statement of a lane, in milliseconds; then the connection is taken
/// for lost.
pub const ANSWER_TIMEOUT_MS: u64 = 15_000;
/// Rows of a split batch that may find somebody else's lock before the rest is called busy unseen.
pub const BUSY_ROWS_MAX: usize = 4;
/// Most wakes of one claim.
pub const CLAIM_ROWS_MAX: usize = 500;
/// How far a claim looks back behind the last row it has taken, in rows: starts become visible out of
/// order.
pub const WATERMARK_SLACK: i64 = 4_096;
/// Time between two claims that ignore the watermark, in milliseconds.
pub const FULL_CLAIM_INTERVAL_MS: u64 = 1_000;
/// Most wakes taken from one inbox at once.
pub const INBOX_ROWS_MAX: i64 = 1_000;
/// Sagas re-homed by one statement of the sweep.
pub const REHOME_ROWS_MAX: i64 = 1_000;
/// Deaths of processes in a row, with no row of a saga written, from which on it is a suspect.
pub const SILENT_DEATHS_MAX: i16 = 2;
/// Lone trials in a row in which the process died that convict a saga, if no other process died around then.
pub const TRIALS_MAX: i64 = 3;
/// Pauses before the first lone trial, the second, and all further ones, in milliseconds.
pub const TRIAL_PAUSES_MS: [u64; 3] = [1_000, 10_000, 60_000];
/// Each other process that dies so much before or after a trial makes one trial more necessary, in milliseconds.
pub const DEATHS_BESIDE_MS: i64 = 10_000;
/// Statements of one sweep that re-home sagas of one lane; the next sweep goes on.
pub const REHOME_CHUNKS_MAX: usize = 1_000;
/// Sagas looked at by one pass of the safety net.
pub const SAFETY_NET_ROWS_MAX: i64 = 10_000;
/// How long lanes and nodes are remembered after they are gone, in milliseconds.
pub const GONE_KEPT_MS: i64 = 3_600_000;
/// How long a node may take to let go of a saga that is taken from it, in milliseconds; then its beats count for
/// nothing.
pub const EVICTION_MS: i64 = 5_000;
/// How long a rerun that was taken is kept from other nodes, besides the lease of the one that took it, in
/// milliseconds.
pub const RERUN_KEPT_MS: i64 = 10_000;
/// Starts with a concurrency key that one look at the turns takes.
pub const KNOCKS_MAX: i64 = 500;
/// Turns looked at by one step of the walk that finds those whose holder has ended.
pub const TURNS_WALKED_MAX: i64 = 1_000;
/// Events of dead nodes made due by one statement.
pub const EVENTS_FREED_MAX: i64 = 1_000;
/// Events of the outbox that are counted at most.
pub const EVENTS_COUNTED_MAX: i64 = 100_000;
/// Longest error that is kept beside an event, in characters.
pub const EVENT_ERROR_CHARS_MAX: usize = 2_000;
/// Partitions of the journal made ahead, in weeks.
pub const JOURNAL_WEEKS_AHEAD: i32 = 4;
/// Partitions of ended sagas made ahead, in days.
pub const DONE_DAYS_AHEAD: i32 = 7;
/// Least time between two counts of all live sagas, in milliseconds.
pub const CENSUS_INTERVAL_MS: i64 = 60_000;
/// How long `amends.throughput` looks back, in milliseconds.
pub const PASSAGE_KEPT_MS: i64 = 24 * 3_600_000;
/// Sagas counted of one definition that wait for a node; more are as bad.
pub const BACKLOG_ROWS_MAX: i64 = 10_000;
/// How long ended sagas are kept unless their definition says otherwise, in milliseconds.
pub const RETENTION_MS: i64 = 90 * 24 * 3_600_000;
/// Most sagas of one list.
pub const LIST_ROWS_MAX: i64 = 1_000;
/// How often it is looked whether a session keeps its server process.
pub const SESSION_LOOKS: u32 = 2;
/// Most connections of the pool, unless said otherwise. A lane has one of its own.
pub const POOL_CONNECTIONS: usize = 8;
/// Most transactions of handlers at a time on one node; each has a connection of its own, made when it is needed.
pub const TRANSACTIONS_MAX: usize = 16;
/// Pause before a connection for a handler's transaction is tried again, in milliseconds; doubles.
pub const BEGIN_PAUSE_MS: u64 = 100;
/// Longest such pause, in milliseconds.
pub const BEGIN_PAUSE_MAX_MS: u64 = 2_000;
/// How long a session may take to tell a transaction that was rolled back from one that has failed, in milliseconds.
pub const LAST_LOOK_MS: u64 = 100;
/// How long it may take to end a statement that it still runs and to ask again, in milliseconds.
pub const CANCELLED_LOOK_MS: u64 = 1_000;
/// How long a session of a handler may take to end its transaction and come back clean, in milliseconds; then it is
/// closed.
pub const RECYCLE_MS: u64 = 500;
/// Pause before it is asked again whether a transaction was committed, in milliseconds; doubles.
pub const COMMIT_LOOK_MS: u64 = 20;
/// Longest such pause, in milliseconds.
pub const COMMIT_LOOK_MAX_MS: u64 = 1_000;
/// Longest wait for a connection of the pool, in milliseconds.
pub const POOL_WAIT_MS: u64 = 10_000;
/// Longest wait for a connection to be made, in milliseconds.
pub const CONNECT_TIMEOUT_MS: u64 = 5_000;
/// Silence after which a TCP connection is probed, in milliseconds.
pub const KEEPALIVE_IDLE_MS: u64 = 10_000;
/// Time between two such probes, in milliseconds.
pub const KEEPALIVE_INTERVAL_MS: u64 = 5_000;
/// Unanswered probes after which the connection is lost.
pub const KEEPALIVE_RETRIES_MAX: u32 = 3;
/// Time without acknowledgement of sent bytes after which the connection is lost, in milliseconds.
pub const TCP_USER_TIMEOUT_MS: u64 = 15_000;
/// Longest statement, in milliseconds.
pub const STATEMENT_TIMEOUT_MS: u64 = 10_000;
/// Longest wait for a lock, in milliseconds.
pub const LOCK_TIMEOUT_MS: u64 = 500;
/// Longest pause within a transaction, in milliseconds.
pub const IDLE_IN_TRANSACTION_TIMEOUT_MS: u64 = 5_000;
/// How often a busy backend looks whether its client is still there, in milliseconds.
pub const CONNECTION_CHECK_INTERVAL_MS: u64 = 5_000;
/// Longest wait for a table that is to be compacted, in milliseconds: whoever comes meanwhile waits behind.
pub const COMPACT_LOCK_TIMEOUT_MS: u64 = 50;
/// Longest compaction, in milliseconds; then the server ends it.
pub const COMPACT_MS_MAX: u64 = 2_000;
/// Smallest table that is worth a compaction, in bytes.
pub const COMPACT_BYTES_MIN: u64 = 1 << 20;
/// Largest table that is read while everybody waits, in bytes.
pub const COMPACT_BYTES_MAX: u64 = 256 << 20;
/// Most bytes that a compaction keeps of a table, besides short columns.
pub const COMPACT_KEPT_BYTES_MAX: u64 = 4 << 20;
/// Longest wait of a migration for other starters, in milliseconds.
pub const MIGRATION_LOCK_TIMEOUT_MS: u64 = 120_000;
/// Longest migration, in milliseconds.
pub const MIGRATION_STATEMENT_TIMEOUT_MS: u64 = 600_000;
