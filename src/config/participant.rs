//! Limits of participants.

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
/// Longest message of an MCP server that is read at all, in bytes; a call that a longer one answers is in
/// doubt.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Most that `Limits::arguments_bytes_max` and `Limits::answer_bytes_max` may be: no message is longer.
pub const LIMIT_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
/// An answer longer than this, in bytes, is read on a thread of its own: decoding it would hold up other
/// calls.
pub const ANSWER_BYTES_INLINE_MAX: usize = 64 << 10;
/// Limit for the look-up of a participant's name.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Limit for opening a TCP and TLS connection, the look-up of the name included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept. Shorter than servers keep theirs (Node: 5 s), for a request on a
/// connection that the server is closing has an unknown outcome.
pub const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(4);
/// Limit for starting an MCP server and its handshake; package runners download first.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);
/// Limit for the answer to a ping, after a call timed out or its session was refused. A child that leaves one
/// unanswered is given no further call, and counts as hung once the time of its calls in flight is over.
pub const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a session over HTTP counts as known after an answer in it. Later it is asked for before a call that may not
/// be repeated.
pub const SESSION_KNOWN: Duration = Duration::from_secs(1);
/// Pages of a server's list of tools that are read; a longer list says nothing.
pub const TOOL_PAGES_MAX: usize = 100;
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
