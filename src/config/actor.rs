//! Limits of the actors.

use std::time::Duration;

/// How a node learns that there is something to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wake {
    /// It looks, so that a start waits at most 250 ms until some node does.
    #[default]
    Poll,
    /// The transaction that has something to do notifies it. It also looks, as without.
    Listen,
}

/// What a node does while it has nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// It looks for something to do.
    #[default]
    Poll,
    /// It closes its connections and sends no statement until something is due.
    Sleep,
}

/// When a node that has nothing to do sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleSleep {
    /// How long it has nothing to do before it sleeps.
    pub after: Duration,
    /// How long it sleeps at most.
    pub most: Duration,
}

/// Default time without anything to do before a node sleeps, in milliseconds.
pub const IDLE_AFTER_MS: u64 = 30_000;
/// Default for the longest sleep, in milliseconds. A sleeping node does not see starts by SQL, and does not notice that
/// another node died; a shorter sleep keeps a serverless database from suspending itself, which takes minutes of rest.
pub const IDLE_MS_MAX: u64 = 900_000;
/// Longest pause between two checks whether a node that may sleep has anything to do, in milliseconds.
pub const IDLE_WATCH_MS: u64 = 1_000;
/// Shortest time until something is due for which a node falls asleep, in milliseconds.
pub const SLEEP_MS_MIN: u64 = 5_000;
/// Longest wait of a start on a sleeping node until its lanes are there, in milliseconds. After it the start waits in
/// the database.
pub const WAKE_UP_MS_MAX: u64 = 10_000;
/// How long before something is due a sleeping node wakes, in milliseconds: it must connect and join.
pub const SLEEP_LEAD_MS: u64 = 1_000;
/// Default time without a beat after which other nodes may declare a node dead, in milliseconds.
pub const LEASE_MS: u64 = 8_000;
/// Shortest lease, in milliseconds.
pub const LEASE_MS_MIN: u64 = 2_000;
/// Share of the lease for which a node trusts a confirmed beat, counted from its sending. After it the node starts no
/// effect until the next confirmed beat.
pub const TRUSTED_SHARE: f64 = 0.75;
/// Pause between two beats, in milliseconds.
pub const BEAT_MS: u64 = 1_000;
/// Pause before a call checks again whether the lease is trusted, in milliseconds.
pub const DISTRUST_PAUSE_MS: u64 = 100;
/// Wait of a call for its place after which `amends.waits` lists it, in milliseconds.
pub const WAIT_LISTED_MS: u64 = 500;
/// Most waits that a node lists; the oldest come first.
pub const WAITS_SHOWN_MAX: usize = 200;
/// How long a lone trial holds the trial place of its node, in milliseconds. The time for a suspected call doubles
/// with each further death during the call.
pub const ISOLATED_MS: u64 = 2_000;
/// Longest time for which a lone trial holds the trial place, in milliseconds.
pub const ISOLATED_MS_MAX: u64 = 600_000;
/// Most sagas that one lane claims at once.
pub const CLAIM_MAX: usize = 200;
/// Pause of a lane after a claim that found sagas, in milliseconds. Doubles after each round without an answer.
pub const POLL_LEAST_MS: u64 = 2;
/// Longest pause of a lane before it repeats a claim or a read without an answer, in milliseconds.
pub const POLL_MOST_MS: u64 = 250;
/// Pause of a node after a look after which its lanes found something, in milliseconds. Doubles after each look in
/// vain.
pub const LOOK_LEAST_MS: u64 = 5;
/// Longest pause between two looks of a node that has sagas, or that no other node could stand in for, in milliseconds.
pub const LOOK_MOST_MS: u64 = 250;
/// Time between the looks of two nodes that have no saga and claim the same definitions, in milliseconds. Such nodes
/// look in turn.
pub const LOOK_TURN_MS: u64 = 125;
/// Most turns until a node looks again. If there are more nodes, several look in one turn.
pub const LOOK_TURNS_MAX: u64 = 8;
/// Longest random pause of a node that was notified before it looks, in milliseconds. Several nodes hear the same
/// notification, and one that looks late finds nothing left to claim.
pub const NOTIFIED_SPREAD_MS: u64 = 4;
/// First pause before a node that cannot listen tries again, in milliseconds; doubles.
pub const LISTEN_PAUSE_MS: u64 = 250;
/// Longest such pause, in milliseconds.
pub const LISTEN_PAUSE_MAX_MS: u64 = 60_000;
/// Ready rows for each further lane that a look sends to claim.
pub const LOOK_ROWS_A_LANE: u64 = 16;
/// Pause between two looks for connections that do nothing, in milliseconds.
pub const CONNECTIONS_LOOK_MS: u64 = 5_000;
/// How long a node has a chore of the fleet before it must renew the lease, in milliseconds. It renews in the second
/// half of this time.
pub const CHORE_LEASE_MS: u64 = 4_000;
/// Longest round of a chore, in milliseconds. The lease of a chore in a longer round is not renewed, so that another
/// node does the chore. Also how long a node leaves a chore to others after failures.
pub const CHORE_HUNG_MS: u64 = 30_000;
/// Failures in a row after which a node does not renew the lease of a chore.
pub const CHORE_FAILURES_MAX: u32 = 3;
/// Shortest pause between two searches for orphans, in milliseconds. An orphan is a saga that a lane owns and no
/// actor runs.
pub const STRAYS_LOOK_MS: u64 = 15_000;
/// A query that may walk over dead rows pauses for at least this many times its own duration.
pub const SELDOM: u32 = 50;
/// Pause between two checks for bloated tables, in milliseconds.
pub const CROWDED_LOOK_MS: u64 = 10_000;
/// Fewest dead rows of a bloated table.
pub const CROWDED_DEAD_MIN: u64 = 500_000;
/// Most checks that skip a table whose rewrite failed.
pub const CROWDED_LOOKS_PASSED_MAX: u32 = 64;
/// Most live rows of a table that is rewritten. The rewrite blocks all users of the table, for about a thirtieth of a
/// second.
pub const CROWDED_LIVE_MAX: u64 = 20_000;
/// Longest wait for a timer that a saga spends on its node, in milliseconds. A saga with a longer wait parks.
pub const PARK_AFTER_MS: u64 = 10_000;
/// First pause before a batch with an unknown outcome is sent again, in milliseconds; doubles.
pub const RESEND_PAUSE_MS: u64 = 100;
/// Longest such pause, in milliseconds.
pub const RESEND_PAUSE_MAX_MS: u64 = 2_000;
/// First pause before a saga whose actor died is taken up again, in milliseconds; doubles.
pub const REVIVE_PAUSE_MS: u64 = 100;
/// Longest such pause, in milliseconds.
pub const REVIVE_PAUSE_MAX_MS: u64 = 60_000;
/// Pause between two rounds of the supervisor, in milliseconds.
pub const HEARTBEAT_MS: u64 = 1_000;
/// Silence of an actor after which the supervisor reports it, in milliseconds.
pub const STALLED_MS: u64 = 10_000;
/// Most restarts of one actor within [`RESTART_WINDOW_MS`].
pub const RESTARTS_MAX: usize = 20;
/// Window in which the restarts of an actor are counted, in milliseconds.
pub const RESTART_WINDOW_MS: u64 = 60_000;
/// Most timers that one statement fires.
pub const TIMERS_MAX: usize = 1_000;
/// Longest pause between two polls for due timers, in milliseconds. A look of the node hints at them.
pub const TIMERS_POLL_MS: u64 = 2_000;
/// Longest wait for an answer of the trace collector, and for the last export at a stop, in milliseconds.
pub const TRACES_TIMEOUT_MS: u64 = 5_000;
/// Most reruns that one poll takes.
pub const RERUNS_MAX: usize = 16;
/// Longest pause between two polls for requested reruns, in milliseconds. A look of the node hints at them.
pub const RERUNS_POLL_MS: u64 = 10_000;
/// Longest pause between two polls for starts that wait for a turn, in milliseconds. A look of the node hints at them.
pub const TURNS_POLL_MOST_MS: u64 = 1_000;
/// Pause after a poll that gave a turn, in milliseconds. Doubles after each poll that gave none.
pub const TURNS_POLL_LEAST_MS: u64 = 5;
/// Shortest time between two steps of the walk over all turns, in milliseconds.
pub const TURNS_WALK_MS: u64 = 1_000;
/// Most events that one node relays at a time.
pub const RELAYS_MAX: usize = 32;
/// Longest pause between two polls of the outbox, in milliseconds.
pub const RELAY_POLL_MS: u64 = 250;
/// A node claims an event for the longest time-out of a notice and this much longer, in milliseconds.
pub const RELAY_MARGIN_MS: u64 = 10_000;
/// Pause after the first failure to relay an event, in milliseconds, half of it random; doubles.
pub const RELAY_PAUSE_MS: u64 = 500;
/// Longest such pause, in milliseconds.
pub const RELAY_PAUSE_MAX_MS: u64 = 300_000;
/// Shortest time between two rounds that free the events of dead nodes and count the outbox, in milliseconds. Also the
/// pause of a relay while no definition of its node has notices.
pub const RELAY_CHORES_MS: u64 = 5_000;
/// Pause between two sweeps, and before a chore that failed is tried again, in milliseconds.
pub const SWEEP_MS: u64 = 1_000;
/// Pause between two measurements of the database for metrics, in milliseconds.
pub const MEASURE_MS: u64 = 15_000;
/// How long a node claims nothing after an eviction from it, in milliseconds. Longer than the longest pause between
/// two claims of another node, so that another node claims the saga first.
pub const AVERTED_MS: u64 = 2_000;
/// How long the calls of an evicted saga may take to end, in milliseconds. After it their outcome is unknown.
pub const EVICTED_GRACE_MS: u64 = 2_000;
/// Pause between two rounds of upkeep for retention and partitions, in milliseconds.
pub const TIDY_MS: u64 = 300_000;
/// Pause between two steps of the safety net, in milliseconds.
pub const SAFETY_NET_MS: u64 = 120_000;
/// Longest pause between two polls for new definitions, in milliseconds. A look of the node hints at them.
pub const DEFINITIONS_REFRESH_MS: u64 = 5_000;
/// Pause between two checks of a starting node for an open lane, in milliseconds.
pub const LANES_OPEN_LOOK_MS: u64 = 5;
/// Most such checks. After them the node starts without an open lane.
pub const LANES_OPEN_LOOKS_MAX: u32 = 1_000;
/// Default number of lanes of a node.
pub const LANES: usize = 2;
/// Default number of threads for the actors of a node.
pub const THREADS: usize = 2;
/// Default for the most sagas that a node holds at a time.
pub const RESIDENTS_MAX: usize = 10_000;
/// How long calls may take to end when an operator drains their node, in milliseconds.
pub const GRACE_MS: u64 = 20_000;
/// First pause between two polls for the end of a saga that another node may run, in milliseconds; doubles.
pub const WAIT_POLL_MS: u64 = 50;
/// Longest such pause, in milliseconds.
pub const WAIT_POLL_MAX_MS: u64 = 2_000;
/// Pause between two polls for sagas that ended on other nodes while callers on this node wait for them, in
/// milliseconds.
pub const ENDS_POLL_MS: u64 = 500;
/// Most sagas that one statement of such a poll reads.
pub const ENDS_READ_MAX: usize = 1_000;
/// How much longer than its grace period a drain may take, in milliseconds.
pub const DRAIN_MARGIN_MS: u64 = 5_000;
