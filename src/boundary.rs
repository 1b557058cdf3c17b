//! Named places between which a process can die: before and after each statement and each call, and where actors start
//! and stop. Owns their names, so that no test forgets one. In a release build passing a place is nothing at all; the
//! crash matrix of the tests (`tests/it/crash`) kills a process at each of them.

/// Every place. Each is passed somewhere in `src`; `tests/it/crash` holds this list against the sources.
pub const ALL: &[&str] = &[
    "new commit: sending",
    "new commit: answered",
    "commit: sending",
    "commit: answered",
    "resolve: sending",
    "resolve: answered",
    "live: sending",
    "live: answered",
    "claim: sending",
    "claim: answered",
    "park: sending",
    "park: answered",
    "release: sending",
    "release: answered",
    "owned: sending",
    "owned: answered",
    "lane: opened",
    "node: joined",
    "node: beaten",
    "node: left",
    "inbox: drained",
    "timers: fired",
    "journal: loaded",
    "signals: read",
    "sweep: disowned",
    "sweep: buried",
    "sweep: rehomed",
    "sweep: forwarded",
    "action: sending",
    "action: answered",
    "compensation: sending",
    "compensation: answered",
    "probe: sending",
    "probe: answered",
    "within: begun",
    "within: handled",
    "within: sending",
    "within: answered",
    "within: committing",
    "within: committed",
    "within: looked up",
    "saga: arrived",
    "saga: decided",
    "saga: accepted",
    "saga: ended",
    "worker: started",
    "dispatcher: draining",
    "runtime: stopping",
    "compact: copying",
];

/// Passes a place.
#[inline]
pub(crate) fn pass(place: &'static str) {
    debug_assert!(ALL.contains(&place), "{place:?} is not in the list of boundaries");
    fail::fail_point!(place);
}

/// Passes a place on behalf of a saga: a test of this process may want it for one definition only.
#[inline]
pub(crate) fn pass_for(place: &'static str, definition: &str) {
    pass(place);
    fail::fail_point!(&format!("{place} {definition}"));
    // Without the feature nobody asks whose it is.
    let _ = definition;
}

/// Passes a place at which a test may lose the answer to a statement; returns whether it does.
#[inline]
pub(crate) fn is_answer_lost() -> bool {
    fail::fail_point!("answer lost", |_| true);
    false
}
