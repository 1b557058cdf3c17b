//! Limits and defaults: every loop, queue, batch, retry, wait and payload has its named maximum here, with
//! unit and default.

/// Limits of the store.
pub mod store {
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
    /// Statements of one sweep that re-home sagas of one lane; the next sweep goes on.
    pub const REHOME_CHUNKS_MAX: usize = 1_000;
    /// Sagas looked at by one pass of the safety net.
    pub const SAFETY_NET_ROWS_MAX: i64 = 10_000;
    /// How long lanes and nodes are remembered after they are gone, in milliseconds.
    pub const GONE_KEPT_MS: i64 = 3_600_000;
    /// How long a node may take to let go of a saga that is taken from it, in milliseconds; then its beats count for
    /// nothing.
    pub const EVICTION_MS: i64 = 5_000;
    /// Reruns that one look takes.
    pub const RERUNS_MAX: i64 = 16;
    /// How long one that was taken is kept from other nodes, in milliseconds.
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
    /// Longest wait of a migration for other starters, in milliseconds.
    pub const MIGRATION_LOCK_TIMEOUT_MS: u64 = 120_000;
    /// Longest migration, in milliseconds.
    pub const MIGRATION_STATEMENT_TIMEOUT_MS: u64 = 600_000;
}

/// Limits of participants.
pub mod participant {
    use std::time::Duration;

    /// Longest expression, in bytes.
    pub const EXPRESSION_BYTES_MAX: usize = 4_096;
    /// Deepest nesting of an expression's syntax tree.
    pub const EXPRESSION_DEPTH_MAX: usize = 48;
    /// Work that one evaluation may do, in units of about one visited node or 64 bytes of text.
    pub const EXPRESSION_WORK_MAX: i64 = 2_000_000;
    /// Stack of a thread of its own for an expression, in bytes: its parser recurses with the text.
    pub const EXPRESSION_STACK_BYTES: usize = 64 << 20;
    /// Deepest metered syntax tree that is evaluated on the caller's stack. CEL takes about 50 KiB a level in
    /// a debug build.
    pub const EXPRESSION_DEPTH_ON_STACK: usize = 12;
    /// Compiled expressions kept per process; beyond it the cache starts anew.
    pub const EXPRESSIONS_CACHED_MAX: usize = 16_384;
    /// Largest compiled pattern of `matches`, in bytes.
    pub const PATTERN_BYTES_MAX: usize = 1 << 18;
    /// Largest value that a template may render, in bytes.
    pub const RENDERED_BYTES_MAX: usize = 16 << 20;
    /// Deepest nesting of an answer; deeper JSON cannot be read by expressions.
    pub const ANSWER_DEPTH_MAX: usize = 100;
    /// Largest arguments or body of a call, in bytes. Default of `Limits::arguments_bytes_max`.
    pub const ARGUMENTS_BYTES_MAX: usize = 1 << 20;
    /// Largest answer to a call, in bytes. Default of `Limits::answer_bytes_max`.
    pub const ANSWER_BYTES_MAX: usize = 1 << 20;
    /// Calls of one participant in flight. Default of `Limits::concurrency_max`.
    pub const CONCURRENCY_MAX: usize = 256;
    /// Longest message of an MCP server that is read at all, in bytes; longer ones are dropped.
    pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
    /// Part of a failed answer that is read for its error text, in bytes.
    pub const ERROR_BODY_BYTES_MAX: usize = 64 << 10;
    /// Limit for opening a TCP and TLS connection.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
    /// How long an idle connection is kept. Shorter than servers keep theirs (Node: 5 s), for a request on a
    /// connection that the server is closing has an unknown outcome.
    pub const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(4);
    /// Limit for starting an MCP server and its handshake; package runners download first.
    pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);
    /// Limit for the answer to a ping, after a call timed out; then a child counts as hung.
    pub const PING_TIMEOUT: Duration = Duration::from_secs(5);
    /// Pause before the second start in a row of an MCP server; doubled from one to the next.
    pub const RESTART_BACKOFF: Duration = Duration::from_millis(200);
    /// Longest pause between two starts of an MCP server.
    pub const RESTART_BACKOFF_MAX: Duration = Duration::from_secs(30);
    /// Longest pause that a call waits for; beyond it the call fails at once, to be tried later.
    pub const RESTART_WAIT_MAX: Duration = Duration::from_secs(1);
    /// Time that a child has to end by itself, after its input closed and again after SIGTERM.
    pub const CHILD_GRACE: Duration = Duration::from_secs(2);
    /// Longest line of a child's error output that is kept, in bytes.
    pub const CHILD_LINE_BYTES_MAX: usize = 2_000;
    /// Longest pause that is taken from a `Retry-After`.
    pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3_600);
    /// Secrets shorter than this, in bytes, are not cut out of answers: they would match by chance.
    pub const SECRET_BYTES_MIN: usize = 6;
}

/// Limits of the catalog.
pub mod catalog {
    /// Largest file of definitions or settings, in bytes.
    pub const FILE_BYTES_MAX: usize = 1 << 20;
    /// Most bytes that a document may take in memory once its aliases are expanded.
    pub const EXPANDED_BYTES_MAX: usize = 32 << 20;
    /// Deepest nesting of lists and mappings in a file.
    pub const DEPTH_MAX: usize = 64;
    /// Most definitions in one file, divided by `---`.
    pub const DOCUMENTS_MAX: usize = 256;
    /// Most files that one load or check takes.
    pub const FILES_MAX: usize = 4_096;
    /// Most faults that one load or check names.
    pub const FAULTS_MAX: usize = 200;

    /// Most pooled connections of a node, besides its lanes, unless its settings say otherwise.
    pub const POOL_DEFAULT: usize = 8;
    /// Committing connections of a node, unless its settings say otherwise.
    pub const LANES_DEFAULT: usize = 2;
    /// Most sagas that run on a node at the same time, unless its settings say otherwise.
    pub const ACTORS_DEFAULT: usize = 10_000;
    /// Time without a heartbeat after which a node counts as dead, unless its settings say otherwise, in
    /// milliseconds.
    pub const LEASE_MS_DEFAULT: u64 = 15_000;
    /// Time that attempts under way get to end after SIGTERM, unless the settings say otherwise, in
    /// milliseconds.
    pub const GRACE_PERIOD_MS_DEFAULT: u64 = 30_000;
}

/// Limits of the actors.
pub mod actor {
    /// Time without a beat after which others may take a node for dead unless set otherwise, in milliseconds.
    pub const LEASE_MS: u64 = 8_000;
    /// Least such time, in milliseconds.
    pub const LEASE_MS_MIN: u64 = 2_000;
    /// After this share of it without a confirmed beat the node itself begins no effect any more.
    pub const TRUSTED_SHARE: f64 = 0.75;
    /// Time between two beats, in milliseconds.
    pub const BEAT_MS: u64 = 1_000;
    /// Pause before a command that waits for trust is tried again, in milliseconds.
    pub const DISTRUST_PAUSE_MS: u64 = 100;
    /// How long a call under which processes have died is alone with its kind on a node, in milliseconds: what has
    /// not killed its process by then hangs, and the next is tried.
    pub const ISOLATED_MS: u64 = 2_000;
    /// Most sagas claimed at once by one lane.
    pub const CLAIM_MAX: usize = 200;
    /// Pause between two claims while there is work, in milliseconds.
    pub const POLL_LEAST_MS: u64 = 2;
    /// Pause between two claims while there is none, in milliseconds.
    pub const POLL_MOST_MS: u64 = 250;
    /// Time between two looks for sagas that a lane owns and nobody runs, in milliseconds.
    pub const STRAYS_LOOK_MS: u64 = 15_000;
    /// A look that may have to walk over dead rows is repeated after that many times what it took.
    pub const SELDOM: u32 = 50;
    /// A saga that waits longer than this, in milliseconds, leaves its node for the time.
    pub const PARK_AFTER_MS: u64 = 10_000;
    /// Pause before a batch whose outcome is not known is sent again, in milliseconds; doubles.
    pub const RESEND_PAUSE_MS: u64 = 100;
    /// Longest such pause, in milliseconds.
    pub const RESEND_PAUSE_MAX_MS: u64 = 2_000;
    /// Pause before a saga is taken up again whose actor died, in milliseconds; doubles.
    pub const REVIVE_PAUSE_MS: u64 = 100;
    /// Longest such pause, in milliseconds.
    pub const REVIVE_PAUSE_MAX_MS: u64 = 60_000;
    /// Time between two rounds of the supervisor, in milliseconds.
    pub const HEARTBEAT_MS: u64 = 500;
    /// An actor that has not answered for so long is complained about, in milliseconds.
    pub const STALLED_MS: u64 = 10_000;
    /// How often one actor is made anew within the window.
    pub const RESTARTS_MAX: usize = 20;
    /// The window of that budget, in milliseconds.
    pub const RESTART_WINDOW_MS: u64 = 60_000;
    /// Timers fired by one statement.
    pub const TIMERS_MAX: usize = 1_000;
    /// Pause between two looks for timers that are due, in milliseconds.
    pub const TIMERS_POLL_MS: u64 = 250;
    /// How long a collector of spans may take to answer, in milliseconds.
    pub const TRACES_TIMEOUT_MS: u64 = 5_000;
    /// Pause between two looks for sagas that shall go on from a step of an ended one, in milliseconds.
    pub const RERUNS_POLL_MS: u64 = 500;
    /// Pause between two looks for starts whose turn it is while there are none, in milliseconds.
    pub const TURNS_POLL_MOST_MS: u64 = 250;
    /// Pause between two such looks while there are some, in milliseconds.
    pub const TURNS_POLL_LEAST_MS: u64 = 5;
    /// Pause between two steps of the walk over all turns, in milliseconds.
    pub const TURNS_WALK_MS: u64 = 1_000;
    /// Events that one node relays at a time.
    pub const RELAYS_MAX: usize = 32;
    /// Pause between two looks into the outbox while there is nothing, in milliseconds.
    pub const RELAY_POLL_MS: u64 = 250;
    /// How much longer than the longest time-out of a notice an event is kept from others, in milliseconds.
    pub const RELAY_MARGIN_MS: u64 = 10_000;
    /// Pause after an event could not be relayed, in milliseconds; doubles.
    pub const RELAY_PAUSE_MS: u64 = 500;
    /// Longest such pause, in milliseconds.
    pub const RELAY_PAUSE_MAX_MS: u64 = 300_000;
    /// Pause between two looks at the outbox as a whole, in milliseconds.
    pub const RELAY_CHORES_MS: u64 = 1_000;
    /// Pause between two sweeps, in milliseconds.
    pub const SWEEP_MS: u64 = 1_000;
    /// Pause between two looks at the database for metrics, in milliseconds.
    pub const MEASURE_MS: u64 = 15_000;
    /// How long a node claims nothing after a saga was taken from it, in milliseconds: longer than the longest pause
    /// between two looks of another.
    pub const AVERTED_MS: u64 = 2_000;
    /// How long calls of a saga that is taken away may take to end, in milliseconds; then their outcome is unknown.
    pub const EVICTED_GRACE_MS: u64 = 2_000;
    /// Pause between two rounds of the chores that may wait, in milliseconds.
    pub const TIDY_MS: u64 = 300_000;
    /// Pause between two steps of the safety net, in milliseconds.
    pub const SAFETY_NET_MS: u64 = 120_000;
    /// Pause between two looks for new definitions, in milliseconds.
    pub const DEFINITIONS_REFRESH_MS: u64 = 2_000;
    /// Time between two looks whether a lane is open, when a node begins, in milliseconds.
    pub const LANES_OPEN_LOOK_MS: u64 = 5;
    /// How often a beginning node looks for an open lane before it goes on without.
    pub const LANES_OPEN_LOOKS_MAX: u32 = 1_000;
    /// Lanes of a node unless set otherwise.
    pub const LANES: usize = 2;
    /// Threads on which the actors of a node run unless set otherwise.
    pub const THREADS: usize = 2;
    /// Most sagas of a node at a time unless set otherwise.
    pub const RESIDENTS_MAX: usize = 10_000;
    /// How long attempts may take to end when a node is drained, unless set otherwise, in milliseconds.
    pub const GRACE_MS: u64 = 20_000;
    /// Time between two looks for the end of a saga that another node may run, in milliseconds; doubles.
    pub const WAIT_POLL_MS: u64 = 50;
    /// Longest such time, in milliseconds.
    pub const WAIT_POLL_MAX_MS: u64 = 2_000;
    /// Time between two looks of a node for ends that its callers wait for and other nodes saw, in milliseconds.
    pub const ENDS_POLL_MS: u64 = 500;
    /// Sagas whose ends are read in one statement, for callers who wait.
    pub const ENDS_READ_MAX: usize = 1_000;
    /// How much longer than its grace a drain may take, in milliseconds.
    pub const DRAIN_MARGIN_MS: u64 = 5_000;
}

/// Limits of clients.
pub mod client {
    /// How long a client beside the database trusts what it has read of the definitions, in milliseconds.
    pub const DEFINITIONS_FRESH_MS: u64 = 1_000;
}

/// Limits of the embedded Postgres.
pub mod postgres {
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
}

/// Limits of the demo and the bench.
pub mod demo {
    use std::time::Duration;

    /// Most connections of one participant process to its ledger; slow calls hold theirs for as long as they
    /// are slow.
    pub const LEDGER_CONNECTIONS_MAX: usize = 10;
    /// Longest time to open one of them.
    pub const LEDGER_CONNECT_MAX: Duration = Duration::from_secs(10);
    /// Longest wait of a call before it begins; a later one is refused. With the delay of a slow call it
    /// bounds how late an effect lands, and the probes' settle windows are longer than both together.
    pub const LEDGER_WAIT_MAX: Duration = Duration::from_secs(1);
    /// Longest silence in place of a lost answer, if the caller never gives up.
    pub const SILENCE_MAX: Duration = Duration::from_secs(60);
    /// How long a participant that was told to end lets late effects land.
    pub const DRAIN: Duration = Duration::from_secs(3);
    /// When a slow call makes its effect after it came in; the definition's time-outs are shorter.
    pub const SLOW: Duration = Duration::from_millis(2_500);
    /// Pause between two starts of checkouts.
    pub const START_INTERVAL: Duration = Duration::from_millis(25);
    /// Most checkouts under way for each node; further ones are started as others end.
    pub const UNDER_WAY_MAX: usize = 20;
    /// Pause between two looks at how far the checkouts are.
    pub const LOOK_INTERVAL: Duration = Duration::from_millis(250);
    /// Longest time in which no checkout ends before the demo stops waiting.
    pub const STILL_MAX: Duration = Duration::from_secs(90);
    /// Lease of a node: how soon the others take a killed one for dead.
    pub const NODE_LEASE: Duration = Duration::from_secs(3);
    /// How long a node that was told to end may take.
    pub const NODE_STOP_MAX: Duration = Duration::from_secs(15);
    /// Pause before a crashed participant is started again.
    pub const RESTART_PAUSE: Duration = Duration::from_millis(100);
    /// How long the starts of a participant may fail one after the other; its ledger may be away.
    pub const RESTART_MAX: Duration = Duration::from_secs(30);
    /// Shortest and longest pause between two troubles of a demo with chaos.
    pub const CHAOS_PAUSE: std::ops::Range<Duration> =
        Duration::from_millis(1_500)..Duration::from_millis(4_000);
    /// Longest time in which no checkout ends before chaos does: with each loss of its owner a settle window begins
    /// anew, so that what is in doubt may never get through it.
    pub const CHAOS_STILL_MAX: Duration = Duration::from_secs(20);
    /// How long a demo with chaos stops a node: longer than its lease.
    pub const STOPPED: Duration = NODE_LEASE.saturating_add(Duration::from_secs(1));
    /// How long a node may take to begin; one that ends meanwhile since the database is away is started again.
    pub const NODE_BEGIN_MAX: Duration = Duration::from_secs(15);
    /// Most nodes of a demo: with their payments servers they share the embedded Postgres's 200 connections.
    pub const NODES_MAX: u32 = 8;
    /// Most checkouts of a demo.
    pub const SAGAS_MAX: u32 = 100_000;
    /// Most broken promises that are printed.
    pub const VIOLATIONS_PRINTED_MAX: usize = 50;
}

/// Limits of the HTTP door.
pub mod http {
    /// Threads that answer requests.
    pub const WORKERS: usize = 1;
    /// How long an idle connection is kept, in seconds.
    pub const KEEP_ALIVE_S: u64 = 30;
    /// Longest wait for the head of a request, in seconds.
    pub const REQUEST_HEAD_S_MAX: u64 = 5;
    /// Longest wait for requests under way when the server stops, in seconds.
    pub const STOP_S_MAX: u64 = 5;
    /// Pause between two upkeeps of the metrics, in seconds.
    pub const UPKEEP_S: u64 = 5;
}

/// Limits of the MCP door.
pub mod mcp {
    /// How long a call waits for its saga before it answers with a handle, in milliseconds, unless the settings say
    /// otherwise. TypeScript hosts give up after 60 s.
    pub const WAIT_MS: u64 = 50_000;
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
}

/// Limits of the command line.
pub mod cli {
    /// Shortest pause between two looks at what others do, in milliseconds.
    pub const POLL_MS_MIN: u64 = 10;
    /// Longest pause between two looks, in milliseconds.
    pub const POLL_MS_MAX: u64 = 500;
    /// Most characters of a value that are shown to people, unless they ask for all of it.
    pub const VALUE_CHARS_MAX: usize = 300;
}
