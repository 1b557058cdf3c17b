//! Named places between which a process can die: before and after each statement and each call, and where actors start
//! and stop. Owns the names of those that are no statement's; a statement's are made of the name of its file, where it
//! is included. In a release build passing a place is nothing at all; the crash matrix of the tests (`tests/it/crash`)
//! kills a process at each of them.

/// Every place that is not around a statement. Each is passed somewhere in `src`; `tests/it/crash` holds this list and
/// the sources against each other.
pub const ALL: &[&str] = &[
    // Sends of a batch whose rows may be there already.
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

/// Places that a process passes on behalf of one saga: each may be wanted for one definition and one direction only.
pub const OF_SAGAS: &[&str] = &[
    // Nobody knows yet in which direction it goes: always forward.
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

/// For which definition a place is passed, and whether the saga goes back. Empty in a release build.
#[derive(Clone, Debug)]
pub(crate) struct Aim {
    #[cfg(debug_assertions)]
    words: std::sync::Arc<str>,
}

impl Aim {
    #[inline]
    pub(crate) fn of(definition: &str, backward: bool) -> Self {
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
    // Without the feature nobody asks which.
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
        // Without the feature nobody asks for whom.
        let _ = &aim.words;
    }
    let _ = aim;
}

/// How long the pauses before lone trials are, where a test says so.
#[inline]
pub(crate) fn trial_pause_ms() -> Option<u64> {
    fail::fail_point!("trial pause", |pause| pause.and_then(|pause| pause.parse().ok()));
    None
}

/// Passes a place at which a test may lose the answer to a statement; returns whether it does.
#[inline]
pub(crate) fn is_answer_lost() -> bool {
    fail::fail_point!("answer lost", |_| true);
    false
}
