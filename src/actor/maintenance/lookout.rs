//! Looks for something to do on this node, by one statement for all its lanes, and tells the actors that do it. Takes
//! and renews the leases of the fleet's chores. A look that finds nothing writes nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::periodic::Chore;
use crate::actor::dispatch::lane_router::LaneRouter;
use crate::actor::node::context::Node;
use crate::config::actor as limits;
use crate::store::Error;

/// Chore that looks.
pub(crate) struct Lookout {
    node: Arc<Node>,
    router: LaneRouter,
    pause: Duration,
    /// Whether the lanes were last told to drain.
    draining: bool,
}

impl Lookout {
    /// Creates the lookout of this node.
    pub(crate) fn new(node: Arc<Node>, router: LaneRouter) -> Self {
        Self { node, router, pause: Duration::from_millis(limits::LOOK_LEAST_MS), draining: false }
    }

    async fn look(&mut self) -> Result<(), Error> {
        let node = &self.node;
        let draining = node.claim_pause.is_draining();
        if self.draining != draining {
            self.draining = draining;
            self.router.look_everywhere();
        }
        let definitions = if node.claim_pause.claims() { node.definitions.runnable() } else { Vec::new() };
        let look =
            node.store.look(&self.router.lanes(), &definitions, &node.watermarks, &node.chores.not_held()).await?;
        self.router.tell(&look);
        if look.reruns {
            node.wakeups.hints.ring_for_reruns();
        }
        let renewed = node
            .chores
            .to_renew(Duration::from_millis(limits::CHORE_LEASE_MS / 2), Duration::from_millis(limits::CHORE_HUNG_MS));
        let wanted: Vec<&str> = look.chores.iter().map(String::as_str).chain(renewed).collect();
        if !wanted.is_empty() {
            let (sent, lease) = (Instant::now(), Duration::from_millis(limits::CHORE_LEASE_MS));
            let taken = node.store.take_chores(node.lease.membership.id(), &wanted, lease).await?;
            node.chores.taken(&taken, sent, lease);
        }
        Ok(())
    }
}

impl Chore for Lookout {
    const PLACES: [&'static str; 2] = ["lookout: started", "lookout: stopped"];

    /// Looks once: soon after the lanes found something, and ever later after each look in vain.
    async fn round(&mut self) -> Duration {
        let most = Duration::from_millis(limits::LOOK_MOST_MS);
        if let Err(error) = self.look().await {
            tracing::warn!(%error, "could not look for work; retrying");
            self.pause = most;
        } else if self.node.wakeups.hints.take_found() {
            self.pause = Duration::from_millis(limits::LOOK_LEAST_MS);
        } else {
            self.pause = (self.pause * 2).min(most);
        }
        self.pause.mul_f64(0.75 + rand::random::<f64>() / 2.0)
    }
}
