//! Limits of participants.

use std::time::Duration;

/// Longest expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 4_096;
/// Deepest nesting of an expression's syntax tree.
pub const EXPRESSION_DEPTH_MAX: usize = 48;
/// Most work of one evaluation. One unit is about one visited node or 64 bytes of text.
pub const EXPRESSION_WORK_MAX: i64 = 2_000_000;
/// Most work of the evaluations that an actor makes at a time on its own thread, in the same units. What takes more is
/// evaluated again on another thread. Ordinary expressions take some dozens.
pub const EXPRESSION_WORK_SHORT: i64 = 20_000;
/// Stack of a thread that parses or evaluates one expression, in bytes: the parser recurses with the text.
pub const EXPRESSION_STACK_BYTES: usize = 64 << 20;
/// Deepest metered syntax tree that is evaluated on the caller's stack. CEL takes about 50 KiB a level in a debug
/// build.
pub const EXPRESSION_DEPTH_ON_STACK: usize = 12;
/// Most compiled expressions in the cache of a process. A full cache is emptied.
pub const EXPRESSIONS_CACHED_MAX: usize = 16_384;
/// Largest compiled pattern of `matches`, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1 << 18;
/// Longest pattern that an expression computes, in bytes of its text.
pub const DATA_PATTERN_TEXT_BYTES_MAX: usize = 256;
/// Largest such pattern, compiled, in bytes.
pub const DATA_PATTERN_BYTES_MAX: usize = 1 << 15;
/// Most compiled patterns in each cache of a process: those of definitions, and those of data.
pub const PATTERNS_CACHED_MAX: usize = 128;
/// Largest compiled pattern of a JSON Schema, in bytes. The patterns of a definition are compiled once a process.
pub const SCHEMA_PATTERN_BYTES_MAX: usize = 10 << 20;
/// Longest text that a JSON Schema with `format: regex` accepts, in bytes.
pub const SCHEMA_REGEX_BYTES_MAX: usize = 4_096;
/// Longest input whose faults are all told, in bytes. Of a longer one only the first is: each takes memory.
pub const INPUT_FAULTS_BYTES_MAX: usize = 64 << 10;
/// Most faults of an input that are told.
pub const INPUT_FAULTS_MAX: usize = 50;
/// Most characters of such a fault.
pub const INPUT_FAULT_CHARS_MAX: usize = 500;
/// Largest value that a template may render, in bytes.
pub const RENDERED_BYTES_MAX: usize = 16 << 20;
/// Most decodings of a path's segment in which `.` and `..` are looked for.
pub const PATH_DECODINGS_MAX: usize = 8;
/// Deepest nesting of an answer. Expressions cannot read deeper JSON.
pub const ANSWER_DEPTH_MAX: usize = 100;
/// Largest arguments or body of a call, in bytes. Default of `Limits::arguments_bytes_max`.
pub const ARGUMENTS_BYTES_MAX: usize = 1 << 20;
/// Largest answer to a call, in bytes. Default of `Limits::answer_bytes_max`.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Most calls in flight to one participant. Default of `Limits::concurrency_max`.
pub const CONCURRENCY_MAX: usize = 256;
/// Longest message of an MCP server that is read, in bytes. A call whose answer is longer is in doubt.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Largest allowed value of `Limits::arguments_bytes_max` and `Limits::answer_bytes_max`: the longest message that is
/// read.
pub const LIMIT_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
/// Largest answer that is decoded on the thread of its call, in bytes. A larger one gets a thread of its own, since
/// decoding it would delay other calls.
pub const ANSWER_BYTES_INLINE_MAX: usize = 64 << 10;
/// Limit for the look-up of a participant's name.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Limit for opening a TCP and TLS connection, including the look-up of the name.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept. Shorter than the time that servers keep theirs (Node: 5 s): a request on a
/// connection that the server is closing has an unknown outcome.
pub const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(4);
/// Limit for the start of an MCP server and its handshake. Package runners download first.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);
/// Limit for the answer to a ping. A ping is sent after a call timed out or its session was refused. A child that
/// leaves a ping unanswered gets no further call, and counts as hung when no call in flight has time left.
pub const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a session over HTTP counts as known after an answer in it. Later the session is checked before a call
/// that may not be repeated.
pub const SESSION_KNOWN: Duration = Duration::from_secs(1);
/// Most pages of a server's list of tools that are read. A longer list proves nothing.
pub const TOOL_PAGES_MAX: usize = 100;
/// Pause before an MCP server is started again after two failures in a row. Doubles with each further failure. After
/// one failure there is no pause.
pub const RESTART_BACKOFF: Duration = Duration::from_millis(200);
/// Longest pause between two starts of an MCP server.
pub const RESTART_BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Longest such pause that a call waits for. With a longer pause the call fails at once and is tried again later.
pub const RESTART_WAIT_MAX: Duration = Duration::from_secs(1);
/// How long a child may take to exit after its input closed, and again after SIGTERM.
pub const CHILD_GRACE: Duration = Duration::from_secs(2);
/// Longest line of a child's error output that is kept, in bytes.
pub const CHILD_LINE_BYTES_MAX: usize = 2_000;
/// Longest pause that a `Retry-After` can ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Shortest secret that is cut out of answers, in bytes: a shorter one would match by chance.
pub const SECRET_BYTES_MIN: usize = 6;
/// Most escapes, one inside the other, that are read in the search for secrets: JSON in a string of JSON has two.
pub const SECRET_ESCAPES_MAX: usize = 8;
