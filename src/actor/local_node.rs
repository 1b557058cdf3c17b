//! The node of this process as clients see it: it starts sagas on its lanes, tells of their ends and is told of
//! signals.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::dispatch::lane_router::LaneRouter;
use super::node::context::Node;
use super::node::definitions::{Definitions, Pinned};
use super::node::waiters::Ended;
use super::residents::arrival::StartOutcome;
use crate::saga::Json;
use crate::saga::definition::Millis;
use crate::store::{StartKey, Store};

/// The node of this process. Cheap to clone.
#[derive(Clone)]
pub struct LocalNode {
    node: Arc<Node>,
    router: LaneRouter,
}

impl LocalNode {
    /// The node with its lanes.
    pub fn new(node: Arc<Node>, router: LaneRouter) -> Self {
        Self { node, router }
    }

    /// Where the node records everything.
    pub fn store(&self) -> &Store {
        &self.node.store
    }

    /// The runtime that carries the store's connections.
    pub fn work(&self) -> &Handle {
        &self.node.work
    }

    /// The definitions that the node knows, which it keeps up to date.
    pub fn definitions(&self) -> &Definitions {
        &self.node.definitions
    }

    /// What time it is by the database's clock, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> Millis {
        self.node.lease.clock.now_ms()
    }

    /// Starts a saga under this id on the next lane in turn.
    pub async fn start(
        &self,
        id: Uuid,
        pinned: Pinned,
        input: Json,
        key: Option<StartKey>,
        traceparent: Option<Arc<str>>,
    ) -> StartOutcome {
        self.router.start(id, pinned, input, key, traceparent).await
    }

    /// A start has come into the queue: a lane looks now, and so does the node for starts that wait for their turn.
    pub fn queued(&self) {
        self.node.wakeups.hints.ring_for_turns();
        self.router.look();
    }

    /// A saga got a signal: the lane that has it looks now.
    pub fn signalled(&self, saga: Uuid) {
        self.router.poke(saga);
        self.node.wakeups.hints.ring_for_turns();
    }

    /// Returns a future of the saga's end, if this process is the one that sees it.
    pub fn expect(&self, saga: Uuid) -> oneshot::Receiver<Ended> {
        self.node.wakeups.waiters.expect(saga)
    }

    /// Forgets callers that stopped waiting for the saga.
    pub fn forget(&self, saga: Uuid) {
        self.node.wakeups.waiters.forget(saga);
    }
}
