//! The node of this process as clients see it. It starts sagas on its lanes, reports their ends and passes on
//! signals.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::dispatch::lane_router::LaneRouter;
use super::node::context::Node;
use super::node::definitions::{Definitions, Pinned};
use super::node::waiters::Ended;
use super::residents::arrival::StartOutcome;
use crate::config::actor as limits;
use crate::saga::definition::Millis;
use crate::saga::{Asker, Json};
use crate::store::{Sources, StartKey, Store};

/// Handle to the node of this process. Cheap to clone.
#[derive(Clone)]
pub struct LocalNode {
    node: Arc<Node>,
    router: LaneRouter,
}

impl LocalNode {
    /// Creates a handle to a node and its lanes.
    pub fn new(node: Arc<Node>, router: LaneRouter) -> Self {
        Self { node, router }
    }

    /// Returns the node's store.
    pub fn store(&self) -> &Store {
        &self.node.store
    }

    /// Returns the runtime that carries the store's connections.
    pub fn work(&self) -> &Handle {
        &self.node.work
    }

    /// Returns the node's registry of definitions, which the node keeps up to date.
    pub fn definitions(&self) -> &Definitions {
        &self.node.definitions
    }

    /// Returns the database's time, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> Millis {
        self.node.lease.clock.now_ms()
    }

    /// Starts a saga under this id, on the next lane in round-robin order. `starter`: who is recorded as its starter.
    pub async fn start(
        &self,
        id: Uuid,
        pinned: Pinned,
        input: Json,
        key: Option<StartKey>,
        traceparent: Option<Arc<str>>,
        starter: Option<Asker>,
    ) -> StartOutcome {
        let most = Duration::from_millis(limits::WAKE_UP_MS_MAX);
        self.node.idleness.wake_up(most).await;
        self.router.start(id, pinned, input, key, traceparent, starter).await
    }

    /// Hints that a start was queued. A lane claims at once, and the node looks for starts whose turn has come.
    pub fn queued(&self) {
        self.node.idleness.note();
        self.node.wakeups.hints.ring_for_turns();
        self.router.look(Sources::ALL);
    }

    /// Hints that a saga got a signal. The lane that runs the saga reads it at once. The node also looks at the
    /// starts that wait for their turn, since the saga may be one of them.
    pub fn signalled(&self, saga: Uuid) {
        self.node.idleness.note();
        self.router.poke(saga);
        self.node.wakeups.hints.ring_for_turns();
    }

    /// Returns a future of the saga's end. The future fails if the actors of this process are gone, or if no saga has
    /// this id.
    pub fn expect(&self, saga: Uuid) -> oneshot::Receiver<Ended> {
        self.node.idleness.note();
        self.node.wakeups.waiters.expect(saga)
    }

    /// Forgets callers that stopped waiting for the saga.
    pub fn forget(&self, saga: Uuid) {
        self.node.wakeups.waiters.forget(saga);
    }
}
