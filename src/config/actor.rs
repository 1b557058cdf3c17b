//! Limits of the actors.

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
/// A call that has waited so long for its place is shown to people, in milliseconds.
pub const WAIT_LISTED_MS: u64 = 500;
/// Most waits that a node shows at once, the oldest first.
pub const WAITS_SHOWN_MAX: usize = 200;
/// How long a call under suspicion is alone with its suspicion on a node in its first trial, in milliseconds;
/// doubles with each death during the call.
pub const ISOLATED_MS: u64 = 2_000;
/// Longest such time, in milliseconds.
pub const ISOLATED_MS_MAX: u64 = 600_000;
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
/// Time between two looks for tables full of dead rows, in milliseconds.
pub const CROWDED_LOOK_MS: u64 = 10_000;
/// Dead rows from which on a table is full of them.
pub const CROWDED_DEAD_MIN: u64 = 500_000;
/// Looks that pass, at most, after one that could not have a table written anew.
pub const CROWDED_LOOKS_PASSED_MAX: u32 = 64;
/// Most live rows of a table that is written anew: about a thirtieth of a second during which all wait.
pub const CROWDED_LIVE_MAX: u64 = 20_000;
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
/// Reruns that one look takes.
pub const RERUNS_MAX: usize = 16;
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
/// How long a node claims nothing after a saga was taken from it, in milliseconds: longer than the longest
/// pause between two looks of another.
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
