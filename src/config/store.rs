//! Limits of the store.

/// Most transitions of one batch.
pub const BATCH_ROWS_MAX: usize = 500;
/// Most bytes of bodies in one batch, unless a single body is larger.
pub const BATCH_BYTES_MAX: usize = 8 << 20;
/// Pause before a saga whose journal could not be read is tried again, in milliseconds.
pub const UNREADABLE_RETRY_MS: u64 = 600_000;
/// Largest input, request or body, in bytes. `amends.start` and `amends.request` have the same limit.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Stands in an application's name before the person that the session claims to ask for. `amends.starter` repeats it.
pub const CLAIM_MARK: &str = ", claims ";
/// Longest claimed name of a person who asks, in bytes. Postgres keeps 63 bytes of an application's name.
pub const CLAIM_BYTES_MAX: usize = 40;
/// Longest idempotency key of a start, in bytes.
pub const KEY_BYTES_MAX: usize = 512;
/// Most sends of a batch in one call of `commit`. After them `commit` reports the database as unavailable.
pub const COMMIT_SENDS_MAX: u32 = 4;
/// Pause before the second send of a batch, in milliseconds; doubles.
pub const COMMIT_PAUSE_MS: u64 = 20;
/// Longest wait for the answer to a statement of a lane, in milliseconds. After it the connection counts as lost.
pub const ANSWER_TIMEOUT_MS: u64 = 15_000;
/// Most rows of a split batch that may find their saga locked. After them the remaining rows are reported busy
/// without a try.
pub const BUSY_ROWS_MAX: usize = 4;
/// First version of the schema with the queue of starts. Nodes of earlier versions do not see the queue.
pub const START_QUEUE_SCHEMA: i32 = 12;
/// While there are ready rows of normal priority and starts in the queue, one place of so many is kept for a start.
pub const STARTS_SHARE: usize = 4;
/// Most sagas that one claim takes.
pub const CLAIM_ROWS_MAX: usize = 500;
/// How far a claim looks back behind the last row that was taken, in rows: starts become visible out of order.
pub const WATERMARK_SLACK: i64 = 4_096;
/// Time between two claims that ignore the watermark, in milliseconds.
pub const FULL_CLAIM_INTERVAL_MS: u64 = 1_000;
/// Most ready rows that a look counts.
pub const LOOK_ROWS_MAX: i64 = 256;
/// Most peers that a beat counts on each side of a node. More nodes than that look as often as this many.
pub const LOOK_PEERS_MAX: i64 = 8;
/// Most wakes that are taken from one inbox at once.
pub const INBOX_ROWS_MAX: i64 = 1_000;
/// Most sagas that one statement of the sweep re-homes.
pub const REHOME_ROWS_MAX: i64 = 1_000;
/// Deaths in a row that make a saga a suspect. A death counts if the process had the saga and wrote no row of it.
pub const SILENT_DEATHS_MAX: i16 = 2;
/// Deaths in a row during lone trials that convict a saga, if no other process died around the same time.
pub const TRIALS_MAX: i64 = 3;
/// Pauses before the first lone trial, the second, and all further ones, in milliseconds.
pub const TRIAL_PAUSES_MS: [u64; 3] = [1_000, 10_000, 60_000];
/// Time before and after a death in a lone trial, in milliseconds. Each other process that died within it makes one
/// more trial necessary.
pub const DEATHS_BESIDE_MS: i64 = 10_000;
/// Most statements with which one sweep re-homes the sagas of one lane. The next sweep goes on.
pub const REHOME_CHUNKS_MAX: usize = 1_000;
/// Most sagas that one step of the safety net checks.
pub const SAFETY_NET_ROWS_MAX: i64 = 10_000;
/// Most ended sagas that one tidying removes from the quotas.
pub const QUOTA_FORGET_ROWS_MAX: i64 = 100_000;

/// How long lanes and nodes are kept after they are gone, in milliseconds.
pub const GONE_KEPT_MS: i64 = 3_600_000;
/// How long a node may take to release a saga that is evicted from it, in milliseconds. After it the node is
/// disowned: its beats count for nothing.
pub const EVICTION_MS: i64 = 5_000;
/// How long other nodes leave a rerun to the node that took it, in milliseconds. The lease of that node is added.
pub const RERUN_KEPT_MS: i64 = 10_000;
/// Most starts with a concurrency key that one poll for turns takes.
pub const KNOCKS_MAX: i64 = 500;
/// Most turns that one step of the walk over all turns checks for holders that have ended.
pub const TURNS_WALKED_MAX: i64 = 1_000;
/// Most events of dead nodes that one statement makes due.
pub const EVENTS_FREED_MAX: i64 = 1_000;
/// Most events of the outbox that are counted.
pub const EVENTS_COUNTED_MAX: i64 = 100_000;
/// Longest error that is stored with an event, in characters.
pub const EVENT_ERROR_CHARS_MAX: usize = 2_000;
/// Weeks for which partitions of the journal are made ahead.
pub const JOURNAL_WEEKS_AHEAD: i32 = 4;
/// Days for which partitions of ended sagas are made ahead.
pub const DONE_DAYS_AHEAD: i32 = 7;
/// Shortest time between two counts of all live sagas, in milliseconds.
pub const CENSUS_INTERVAL_MS: i64 = 60_000;
/// How long `amends.throughput` looks back, in milliseconds.
pub const PASSAGE_KEPT_MS: i64 = 24 * 3_600_000;
/// Most waiting sagas that are counted for each version of a definition. A higher count would tell no more.
pub const BACKLOG_ROWS_MAX: i64 = 10_000;
/// Default time for which ended sagas are kept, in milliseconds. A definition may set another.
pub const RETENTION_MS: i64 = 90 * 24 * 3_600_000;
/// Most sagas that one statement erases.
pub const ERASE_SAGAS_MAX: i32 = 100;
/// Most such statements of one round of upkeep. The next round goes on.
pub const ERASE_STEPS_MAX: usize = 1_000;
/// Most sagas of one list.
pub const LIST_ROWS_MAX: i64 = 1_000;
/// Rows of a journal that are read at a time when it is verified.
pub const CHAIN_ROWS: i64 = 32;
/// Sagas that are listed at a time when journals are verified.
pub const CHAIN_SAGAS: i64 = 100;
/// Most faults of one journal that are kept and shown; the others are counted.
pub const CHAIN_FAULTS_MAX: usize = 100;
/// Number of checks whether a session keeps its server process.
pub const SESSION_LOOKS: u32 = 2;
/// How long a connection may do nothing before it is closed, in milliseconds.
pub const CONNECTION_IDLE_MS: u64 = 30_000;
/// Default for the most connections of the pool. Each lane has a connection of its own.
pub const POOL_CONNECTIONS: usize = 8;
/// Most transactions of handlers at a time on one node. Each has a connection of its own, opened on demand.
pub const TRANSACTIONS_MAX: usize = 16;
/// First pause before a connection for a handler's transaction is tried again, in milliseconds; doubles.
pub const BEGIN_PAUSE_MS: u64 = 100;
/// Longest such pause, in milliseconds.
pub const BEGIN_PAUSE_MAX_MS: u64 = 2_000;
/// How long a session may take to say whether its handler's transaction is still open, in milliseconds.
pub const LAST_LOOK_MS: u64 = 100;
/// How long the session may take to cancel a running statement and then answer that question, in milliseconds.
pub const CANCELLED_LOOK_MS: u64 = 1_000;
/// How long a handler's session may take to end its transaction and come back clean, in milliseconds. After it the
/// session is closed.
pub const RECYCLE_MS: u64 = 500;
/// First pause before the look-up whether a transaction was committed is repeated, in milliseconds; doubles.
pub const COMMIT_LOOK_MS: u64 = 20;
/// Longest such pause, in milliseconds.
pub const COMMIT_LOOK_MAX_MS: u64 = 1_000;
/// Longest wait for a connection from the pool, in milliseconds.
pub const POOL_WAIT_MS: u64 = 10_000;
/// Longest wait for a new connection, in milliseconds.
pub const CONNECT_TIMEOUT_MS: u64 = 5_000;
/// Longest wait of a session that listens for a notification of its own, in milliseconds. After it the session counts
/// as one that hears nothing.
pub const PROBE_TIMEOUT_MS: u64 = 5_000;
/// Silence after which a TCP connection is probed, in milliseconds.
pub const KEEPALIVE_IDLE_MS: u64 = 10_000;
/// Time between two such probes, in milliseconds.
pub const KEEPALIVE_INTERVAL_MS: u64 = 5_000;
/// Unanswered probes after which the connection counts as lost.
pub const KEEPALIVE_RETRIES_MAX: u32 = 3;
/// Time without acknowledgement of sent bytes after which the connection counts as lost, in milliseconds.
pub const TCP_USER_TIMEOUT_MS: u64 = 15_000;
/// Longest statement, in milliseconds.
pub const STATEMENT_TIMEOUT_MS: u64 = 10_000;
/// Longest wait for a lock, in milliseconds.
pub const LOCK_TIMEOUT_MS: u64 = 500;
/// Longest pause between two statements of a transaction, in milliseconds.
pub const IDLE_IN_TRANSACTION_TIMEOUT_MS: u64 = 5_000;
/// Pause between two checks of a busy backend whether its client is still connected, in milliseconds.
pub const CONNECTION_CHECK_INTERVAL_MS: u64 = 5_000;
/// Longest wait of a compaction for the lock on its table, in milliseconds. Other statements queue behind this wait.
pub const COMPACT_LOCK_TIMEOUT_MS: u64 = 50;
/// Longest compaction, in milliseconds. After it the server ends the transaction.
pub const COMPACT_MS_MAX: u64 = 2_000;
/// Smallest table that is worth a compaction, in bytes.
pub const COMPACT_BYTES_MIN: u64 = 1 << 20;
/// Largest table that a compaction reads under its lock, in bytes: all other users wait meanwhile.
pub const COMPACT_BYTES_MAX: u64 = 256 << 20;
/// Most bytes of a table that a compaction keeps, not counting short columns.
pub const COMPACT_KEPT_BYTES_MAX: u64 = 4 << 20;
/// Longest wait of a migration for other processes that migrate, in milliseconds.
pub const MIGRATION_LOCK_TIMEOUT_MS: u64 = 120_000;
/// Longest migration, in milliseconds.
pub const MIGRATION_STATEMENT_TIMEOUT_MS: u64 = 600_000;
