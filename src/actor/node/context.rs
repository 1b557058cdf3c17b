//! The context that the actors of one node share: store, participants, lease, registry and lists. Owns only these
//! handles.

use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use tokio::runtime::Handle;
use uuid::Uuid;

use super::claim_pause::ClaimPause;
use super::definitions::{Definitions, Pinned};
use super::fleet_chores::FleetChores;
use super::idleness::Idleness;
use super::lease_clock::LeaseClock;
use super::look_turn::LookTurn;
use super::membership::Membership;
use super::trial_permit::TrialPermit;
use super::waits::Waits;
use super::wakeups::Wakeups;
use crate::actor::telemetry::throughput::Throughput;
use crate::actor::telemetry::traces::Traces;
use crate::actor::telemetry::write_failures::WriteFailures;
use crate::participant::Participants;
use crate::saga::state::State;
use crate::store::{Beat, Chaining, Error, Store, Watermarks};

/// Context of every actor on this node.
pub struct Node {
    /// Database access.
    pub store: Store,
    /// Whether journals are chained.
    pub chaining: Chaining,
    /// Participants that steps call.
    pub participants: Participants,
    /// Definitions that this node knows.
    pub definitions: Definitions,
    /// Incarnation of this node, and trust in its lease.
    pub lease: Lease,
    /// Whether this node claims sagas.
    pub claim_pause: ClaimPause,
    /// The chores of the fleet that this node does now.
    pub chores: FleetChores,
    /// When this node looks while it has no saga.
    pub look_turn: LookTurn,
    /// Whether this node sleeps.
    pub idleness: Idleness,
    /// How far ready rows were taken.
    pub watermarks: Watermarks,
    /// Place where suspected poison sagas run, one at a time.
    pub trial_permit: TrialPermit,
    /// Calls and sagas that wait before they may begin.
    pub waits: Waits,
    /// Hints for actors, and callers that wait for the end of a saga.
    pub wakeups: Wakeups,
    /// Counts, traces and failures.
    pub telemetry: Telemetry,
    /// Runtime for calls of participants, so that a slow call delays no actor.
    pub work: Handle,
}

/// Identity of the node, and its time.
#[derive(Debug)]
pub struct Lease {
    /// Current incarnation of this process.
    pub membership: Membership,
    /// Database time, and whether effects may begin.
    pub clock: LeaseClock,
}

/// What a node counts and reports.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// Exporter of spans; none unless the settings name a collector.
    pub traces: Option<Traces>,
    /// Sagas that began and ended here, until the counts are written.
    pub throughput: Throughput,
    /// The latest write failure of each lane.
    pub write_failures: WriteFailures,
    /// Number of sagas with an actor on this node.
    pub residents: AtomicUsize,
}

impl Node {
    /// Counts a saga that has begun. Its first row is durable, written by its actor or by the claim.
    pub(crate) fn began(&self, pinned: &Pinned) {
        pinned.counts.started();
        self.telemetry.throughput.began(pinned.id);
    }

    /// Takes the answer to a beat that was sent at `sent`.
    pub(crate) fn confirmed(&self, sent: Instant, beat: &Beat) {
        self.lease.clock.sample(sent, beat.at, self.lease.membership.trust());
        self.claim_pause.told(beat.draining);
        self.look_turn.told(beat.peers);
    }

    /// Writes what this node has seen begin and end. What could not be written is counted again next time.
    pub(crate) async fn record_throughput(&self) -> Result<(), Error> {
        let passed = self.telemetry.throughput.take();
        let recorded = self.store.record_passage(self.lease.membership.id(), &passed).await;
        if recorded.is_err() {
            self.telemetry.throughput.give_back(passed);
        }
        recorded
    }

    /// Takes the node out of service, and hands back what its lanes still had.
    pub(crate) async fn leave(&self) -> Result<(), Error> {
        let member = self.lease.membership.id();
        self.store.leave(member).await?;
        self.store.sweep(member).await.map(drop)
    }

    /// Counts and traces a durable transition.
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
