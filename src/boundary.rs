//! Boundaries: named places at which a test can kill the process. There is one before and one after each statement
//! and each call, and where actors start and stop. The crash matrix of the tests (`tests/it/crash`) kills a process
//! at each of them. In a release build passing a place does nothing.
//!
//! Owns the names of all places that are not around a statement. The `sql!` macro (`store/statement.rs`) names the
//! places of a statement after its file.

/// Every place that is neither around a statement nor in [`OF_SAGAS`]. `tests/it/crash` checks this list against the
/// sources: each place is passed somewhere in `src`.
pub const ALL: &[&str] = &[
    // Sends of a batch whose rows may be in the journal already.
    "commit again: sending",
    "commit again: answered",
    "transactional: begun",
    "transactional: sending",
    "transactional: answered",
    "transactional: committing",
    "transactional: committed",
    "transactional: looked up",
    "notification: sending",
    "notification: answered",
    "lookout: started",
    "lookout: stopped",
    "idle_watch: started",
    "idle_watch: stopped",
    "listener: started",
    "listener: stopped",
    "heartbeat: started",
    "heartbeat: stopped",
    "definition_poller: started",
    "definition_poller: stopped",
    "completion_poller: started",
    "completion_poller: stopped",
    "rerunner: started",
    "rerunner: stopped",
    "turn_granter: started",
    "turn_granter: stopped",
    "outbox_relay: started",
    "outbox_relay: stopped",
    "timers: started",
    "timers: stopped",
    "dead_nodes: started",
    "dead_nodes: stopped",
    "left_behind: started",
    "left_behind: stopped",
    "retention: started",
    "retention: stopped",
    "compactor: started",
    "compactor: stopped",
    "orphan_finder: started",
    "orphan_finder: stopped",
    "measurement: started",
    "measurement: stopped",
    "safety_net: started",
    "safety_net: stopped",
    "supervisor: started",
    "supervisor: stopped",
    "lane_worker: started",
    "lane_worker: stopped",
    "committer: started",
    "committer: stopped",
    "dispatcher: started",
    "dispatcher: draining",
    "dispatcher: stopped",
    "saga: arrived",
    "saga: ended",
    "saga: stopped",
    "runtime: stopping",
    "migration: applied",
    "compact: copying",
];

/// Places that a process passes on behalf of one saga. A test can limit each to one definition and one direction.
pub const OF_SAGAS: &[&str] = &[
    // The direction is not known yet: always forward.
    "saga: reading",
    "saga: decided",
    "batch: sending",
    "batch: answered",
    "saga: accepted",
    "action: sending",
    "action: answered",
    "compensation: sending",
    "compensation: answered",
    "probe: sending",
    "probe: answered",
];

/// The definition and the direction for which a process passes a place. Empty in a release build.
#[derive(Clone, Debug)]
pub(crate) struct Aim {
    #[cfg(debug_assertions)]
    words: std::sync::Arc<str>,
}

impl Aim {
    #[inline]
    pub(crate) fn new(definition: &str, backward: bool) -> Self {
        #[cfg(not(debug_assertions))]
        let _ = (definition, backward);
        Self {
            #[cfg(debug_assertions)]
            words: format!("{definition} {}", if backward { "backward" } else { "forward" }).into(),
        }
    }
}

/// Passes a place.
#[inline]
pub(crate) fn pass(place: &'static str) {
    debug_assert!(ALL.contains(&place), "{place:?} is not in the list of boundaries");
    fail::fail_point!(place);
}

/// Passes a place before or after a statement.
#[inline]
pub(crate) fn pass_statement(place: &'static str) {
    fail::fail_point!(place);
    // Without the feature `failpoints` the place is not used.
    let _ = place;
}

/// Passes a place on behalf of a saga.
#[inline]
pub(crate) fn pass_for(place: &'static str, aim: &Aim) {
    debug_assert!(OF_SAGAS.contains(&place), "{place:?} is not in the list of boundaries");
    fail::fail_point!(place);
    #[cfg(debug_assertions)]
    {
        fail::fail_point!(&format!("{place} for {}", aim.words));
        // Without the feature `failpoints` the aim is not used.
        let _ = &aim.words;
    }
    let _ = aim;
}

/// Returns the pause before lone trials in milliseconds, if a test sets it.
#[inline]
pub(crate) fn trial_pause_ms() -> Option<u64> {
    fail::fail_point!("trial pause", |pause| pause.and_then(|pause| pause.parse().ok()));
    None
}

/// Returns the pause between two looks of the node of this name in milliseconds, if a test sets it.
#[inline]
pub(crate) fn look_pause_ms(node: &str) -> Option<u64> {
    #[cfg(debug_assertions)]
    fail::fail_point!(&format!("look pause of {node}"), |pause| pause.and_then(|pause| pause.parse().ok()));
    let _ = node;
    None
}

/// Passes a place at which a test may lose the answer to a statement. Returns whether it does.
#[inline]
pub(crate) fn is_answer_lost() -> bool {
    fail::fail_point!("answer lost", |_| true);
    false
}
