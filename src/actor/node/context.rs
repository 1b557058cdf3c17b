//! What the actors of one node share: the rooms below, the lease, the registry and the lists. Owns nothing but these
//! handles.

use std::sync::atomic::AtomicUsize;

use tokio::runtime::Handle;
use uuid::Uuid;

use super::claiming::Claiming;
use super::clock::Clock;
use super::definitions::{Definitions, Pinned};
use super::membership::Membership;
use super::trial_place::TrialPlace;
use super::waits::Waits;
use super::wakeups::Wakeups;
use crate::actor::telemetry::throughput::Throughput;
use crate::actor::telemetry::traces::Traces;
use crate::actor::telemetry::write_failures::WriteFailures;
use crate::participant::Participants;
use crate::saga::state::State;
use crate::store::Store;

/// The context of every actor on this node.
pub struct Node {
    /// Where everything is recorded.
    pub store: Store,
    /// What steps call.
    pub participants: Participants,
    /// What this node knows how to run.
    pub definitions: Definitions,
    /// Which incarnation this is, and how long its lease may be trusted.
    pub lease: Lease,
    /// Whether sagas are claimed.
    pub claiming: Claiming,
    /// Where suspected poison sagas run alone.
    pub trial_place: TrialPlace,
    /// What waits here before it may begin.
    pub waits: Waits,
    /// What is to be looked at now, and the callers that wait for ends.
    pub wakeups: Wakeups,
    /// What is counted and reported.
    pub telemetry: Telemetry,
    /// Where calls of participants run, so that a slow one holds up no actor.
    pub work: Handle,
}

/// The node's identity and its time.
#[derive(Debug)]
pub struct Lease {
    /// The present incarnation of this process.
    pub membership: Membership,
    /// What time it is, and whether effects may begin.
    pub clock: Clock,
}

/// What a node counts and reports.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// Where sagas go as spans; none unless the settings name a collector.
    pub traces: Option<Traces>,
    /// Sagas that began and ended here, until that is written down.
    pub throughput: Throughput,
    /// The latest write failure of each lane.
    pub write_failures: WriteFailures,
    /// How many sagas are actors here now.
    pub residents: AtomicUsize,
}

impl Node {
    /// A saga has begun: its first row is durable, whoever wrote it.
    pub(crate) fn began(&self, pinned: &Pinned) {
        pinned.counts.started();
        self.telemetry.throughput.began(pinned.id);
    }

    /// A transition is durable.
    pub(crate) fn moved(&self, saga: Uuid, pinned: &Pinned, old: &State, new: &State) {
        self.telemetry.throughput.moved(pinned.id, old, new);
        if let Some(traces) = &self.telemetry.traces {
            traces.moved(saga, &pinned.definition, old, new);
        }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("definitions", &self.definitions.runnable()).finish_non_exhaustive()
    }
}
