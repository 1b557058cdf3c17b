//! The chores of the fleet that this node does now. Owns the list, the times of the leases and the counts of failures;
//! `maintenance/lookout.rs` takes and renews the leases. A lease only saves work: each node may do each chore at any
//! time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::config::actor as limits;
use crate::metrics;

/// Chores that one node does for all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FleetChore {
    /// Fires the timers of parked sagas.
    Timers,
    /// Declares silent nodes dead, and moves the wakes of dead lanes.
    Sweep,
    /// Looks for sagas of lanes that are gone.
    Orphans,
    /// Grants turns that no end and no start on this node asked for.
    Turns,
    /// Frees the events of dead nodes, and counts the outbox.
    Outbox,
    /// Counts the live sagas.
    Census,
    /// Makes and drops partitions.
    Retention,
    /// Looks for bloated tables.
    Compaction,
    /// Looks for sagas that nothing would wake.
    SafetyNet,
}

impl FleetChore {
    /// All chores.
    pub(crate) const ALL: [Self; 9] = [
        Self::Timers,
        Self::Sweep,
        Self::Orphans,
        Self::Turns,
        Self::Outbox,
        Self::Census,
        Self::Retention,
        Self::Compaction,
        Self::SafetyNet,
    ];

    /// Returns the name in SQL, metrics and logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Timers => "timers",
            Self::Sweep => "sweep",
            Self::Orphans => "orphans",
            Self::Turns => "turns",
            Self::Outbox => "outbox",
            Self::Census => "census",
            Self::Retention => "retention",
            Self::Compaction => "compaction",
            Self::SafetyNet => "safety_net",
        }
    }
}

/// The chores that this node holds.
#[derive(Debug, Default)]
pub struct FleetChores {
    known: Mutex<Known>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Known {
    chores: HashMap<FleetChore, State>,
    /// The node is about to leave: it takes no more chores.
    left: bool,
}

/// What is known of one chore.
#[derive(Debug, Default)]
struct State {
    /// The lease is surely valid until then. None: never held.
    until: Option<Instant>,
    /// Start of a round that has not ended.
    begun: Option<Instant>,
    /// Rounds in a row that failed.
    failures: u32,
    /// When the last of them did.
    failed_at: Option<Instant>,
}

impl State {
    fn is_held(&self) -> bool {
        self.until.is_some_and(|until| until > Instant::now())
    }

    /// Whether this node gets the chore done: no round hangs, and not several in a row have just failed.
    fn is_well(&self) -> bool {
        let hung = Duration::from_millis(limits::CHORE_HUNG_MS);
        let hangs = self.begun.is_some_and(|begun| begun.elapsed() >= hung);
        let failed =
            self.failures >= limits::CHORE_FAILURES_MAX && self.failed_at.is_some_and(|at| at.elapsed() < hung);
        !hangs && !failed
    }
}

impl FleetChores {
    /// Whether this node does the chore now.
    pub(crate) fn holds(&self, chore: FleetChore) -> bool {
        self.known().chores.get(&chore).is_some_and(State::is_held)
    }

    /// Returns the names of the chores that other nodes do, as far as this node knows, and that it could do.
    pub(crate) fn wanted(&self) -> Vec<&'static str> {
        let known = self.known();
        let could =
            |chore: &FleetChore| known.chores.get(chore).is_none_or(|state| !state.is_held() && state.is_well());
        FleetChore::ALL.into_iter().filter(|chore| !known.left && could(chore)).map(FleetChore::as_str).collect()
    }

    /// Returns the chores whose lease to renew: those that end within `soon` and that this node gets done.
    pub(crate) fn to_renew(&self, soon: Duration) -> Vec<&'static str> {
        let known = self.known();
        let ends_soon = |state: &State| state.until.is_some_and(|until| until <= Instant::now() + soon);
        let ending = known.chores.iter().filter(|(_, state)| state.is_held() && ends_soon(state) && state.is_well());
        ending.map(|(chore, _)| chore.as_str()).collect()
    }

    /// Records the leases that a request sent at `sent` took.
    pub(crate) fn taken(&self, taken: &[String], sent: Instant, lease: Duration) {
        let mut known = self.known();
        if known.left {
            return;
        }
        for chore in FleetChore::ALL.into_iter().filter(|chore| taken.iter().any(|name| name == chore.as_str())) {
            let state = known.chores.entry(chore).or_default();
            if !state.is_held() {
                self.changed.notify_waiters();
            }
            state.until = Some(sent + lease);
        }
    }

    /// Returns a future that ends when this node next takes a chore that it did not have.
    pub(crate) fn next_taken(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Does one round of a chore. None, and nothing is done, if another node does the chore.
    pub(crate) async fn run<T, E>(
        &self,
        chore: FleetChore,
        round: impl Future<Output = Result<T, E>>,
    ) -> Option<Result<T, E>> {
        if !self.begin(chore) {
            return None;
        }
        let done = round.await;
        self.end(chore, done.is_ok());
        Some(done)
    }

    /// Forgets a round that an earlier actor of the chore began and did not end.
    pub(crate) fn forget_round(&self, chore: FleetChore) {
        if let Some(state) = self.known().chores.get_mut(&chore) {
            state.begun = None;
        }
    }

    /// Records the start of a round. Returns false, and records nothing, if another node does the chore.
    fn begin(&self, chore: FleetChore) -> bool {
        let mut known = self.known();
        let Some(state) = known.chores.get_mut(&chore).filter(|state| state.is_held()) else { return false };
        state.begun = Some(Instant::now());
        true
    }

    /// Records the end of a round, and whether it did what it had to do. After some failures in a row, another node may
    /// do the chore.
    fn end(&self, chore: FleetChore, done: bool) {
        let mut known = self.known();
        let state = known.chores.entry(chore).or_default();
        state.begun = None;
        (state.failures, state.failed_at) = match done {
            true => (0, None),
            false => (state.failures.saturating_add(1), Some(Instant::now())),
        };
    }

    /// Lets go of all chores: the node is about to leave.
    pub fn leave(&self) {
        let mut known = self.known();
        (known.left, known.chores) = (true, HashMap::new());
    }

    /// Takes chores again: the node has joined again.
    pub fn join(&self) {
        *self.known() = Known::default();
    }

    /// Shows which chores this node does.
    pub fn show(&self) {
        for chore in FleetChore::ALL {
            metrics::CHORES_HELD.with([chore.as_str().into()]).set(f64::from(self.holds(chore)));
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(60);

    fn holding() -> FleetChores {
        let chores = FleetChores::default();
        chores.taken(&["timers".to_owned()], Instant::now(), LEASE);
        chores
    }

    #[test]
    fn a_chore_is_held_for_its_lease_and_renewed_while_it_gets_done() {
        let chores = holding();
        assert!(chores.holds(FleetChore::Timers) && !chores.holds(FleetChore::Sweep));
        assert_eq!(chores.wanted().len(), FleetChore::ALL.len() - 1);
        assert_eq!(chores.to_renew(LEASE), ["timers"]);
        assert!(chores.to_renew(LEASE / 2).is_empty(), "it is not yet time");
        for _ in 0..limits::CHORE_FAILURES_MAX {
            chores.end(FleetChore::Timers, false);
        }
        assert!(chores.to_renew(LEASE).is_empty(), "another node may do better");
        chores.end(FleetChore::Timers, true);
        assert_eq!(chores.to_renew(LEASE), ["timers"]);
    }

    #[test]
    fn a_node_that_leaves_takes_no_chores() {
        let chores = holding();
        chores.leave();
        // The answer to a request that was under way.
        chores.taken(&["timers".to_owned()], Instant::now(), LEASE);
        assert!(!chores.holds(FleetChore::Timers) && !chores.begin(FleetChore::Timers));
        assert!(chores.wanted().is_empty() && chores.to_renew(LEASE).is_empty());
    }
}
