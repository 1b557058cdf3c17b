//! The chores of the fleet that this node does now. Owns the list and the times of the leases; `maintenance/fleet.rs`
//! takes the leases. A lease only saves work: any node may do any chore at any time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
pub struct FleetChores(Mutex<HashMap<FleetChore, Held>>);

#[derive(Debug)]
struct Held {
    /// The lease is surely valid until then.
    until: Instant,
    /// Start of a round that has not ended.
    begun: Option<Instant>,
}

impl FleetChores {
    /// Whether this node does the chore now.
    pub(crate) fn holds(&self, chore: FleetChore) -> bool {
        self.held().get(&chore).is_some_and(|held| held.until > Instant::now())
    }

    /// Returns the names of the chores that other nodes do, as far as this node knows.
    pub(crate) fn not_held(&self) -> Vec<&'static str> {
        FleetChore::ALL.into_iter().filter(|chore| !self.holds(*chore)).map(FleetChore::as_str).collect()
    }

    /// Records a round of a chore. Returns false, and records nothing, if another node does the chore.
    pub(crate) fn begin(&self, chore: FleetChore) -> bool {
        let mut held = self.held();
        let Some(held) = held.get_mut(&chore).filter(|held| held.until > Instant::now()) else { return false };
        held.begun = Some(Instant::now());
        true
    }

    /// Records the end of a round.
    pub(crate) fn end(&self, chore: FleetChore) {
        if let Some(held) = self.held().get_mut(&chore) {
            held.begun = None;
        }
    }

    /// Records the leases that a request sent at `sent` took.
    pub(crate) fn taken(&self, taken: &[String], sent: Instant, lease: Duration) {
        let mut held = self.held();
        for chore in FleetChore::ALL {
            if taken.iter().any(|name| name == chore.as_str()) {
                let begun = held.get(&chore).and_then(|held| held.begun);
                held.insert(chore, Held { until: sent + lease, begun });
            }
        }
        drop(held);
        for chore in FleetChore::ALL {
            let holds = if self.holds(chore) { 1.0 } else { 0.0 };
            metrics::CHORES_HELD.with([chore.as_str().into()]).set(holds);
        }
    }

    /// Returns the chores whose lease to renew: those that end within `soon` and are not stuck in a round for longer
    /// than `hung`.
    pub(crate) fn to_renew(&self, soon: Duration, hung: Duration) -> Vec<&'static str> {
        let now = Instant::now();
        let is_well = |held: &Held| held.begun.is_none_or(|begun| begun.elapsed() < hung);
        let held = self.held();
        let ending = held.iter().filter(|(_, held)| held.until > now && held.until <= now + soon && is_well(held));
        ending.map(|(chore, _)| chore.as_str()).collect()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<FleetChore, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
