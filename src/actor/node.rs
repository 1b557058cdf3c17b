//! What the actors of one node share: the doors to the rooms below, the clock and the registry. Owns nothing
//! but these handles.

use std::sync::atomic::AtomicUsize;

use tokio::runtime::Handle;
use uuid::Uuid;

use super::claiming::Claiming;
use super::clock::Clock;
use super::definitions::{Definitions, Pinned};
use super::heartbeat::Membership;
use super::quarantine::Quarantine;
use super::throughput::Throughput;
use super::traces::Traces;
use super::waiters::Waiters;
use super::waits::Waits;
use super::wakeups::Wakeups;
use super::write_failures::WriteFailures;
use crate::participant::Participants;
use crate::saga::state::State;
use crate::store::Store;

/// The surroundings of every actor on this node.
pub struct Node {
    /// Where everything is recorded.
    pub store: Store,
    /// Which incarnation of a process this is.
    pub membership: Membership,
    /// Whom steps call.
    pub participants: Participants,
    /// What this node knows how to run.
    pub definitions: Definitions,
    /// What time it is, and whether effects may begin.
    pub clock: Clock,
    /// Whether sagas are taken.
    pub claiming: Claiming,
    /// Where sagas under which processes have died are tried.
    pub quarantine: Quarantine,
    /// What waits here before it may begin.
    pub waits: Waits,
    /// Who in this process waits for an end.
    pub waiters: Waiters,
    /// What is to be looked at now.
    pub wakeups: Wakeups,
    /// Who is told of sagas as spans; nobody, unless the settings name a collector.
    pub traces: Option<Traces>,
    /// Where calls of participants run, so that a slow one holds up no actor.
    pub work: Handle,
    /// Sagas that are actors here now.
    pub residents: AtomicUsize,
    /// What the database does not take at present.
    pub write_failures: WriteFailures,
    /// Sagas that began and ended here, until it is written down.
    pub throughput: Throughput,
}

impl Node {
    /// A transition is durable.
    pub(super) fn moved(&self, saga: Uuid, pinned: &Pinned, old: &State, new: &State) {
        self.throughput.moved(pinned.id, old, new);
        if let Some(traces) = &self.traces {
            traces.moved(saga, pinned, old, new);
        }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("definitions", &self.definitions.runnable()).finish_non_exhaustive()
    }
}
