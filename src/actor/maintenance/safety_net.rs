//! Walks over all live sagas, a bounded step at a time, and makes ready the sagas that nothing would wake. There must
//! be none; each one is a defect, counted and logged.

use std::sync::Arc;
use std::time::Duration;

use super::periodic::Chore;
use crate::actor::node::context::Node;
use crate::config::actor as limits;
use crate::metrics;
use crate::store::{Error, NetCursor};

/// Chore that walks over the sagas; each step goes on where the last one ended.
pub(crate) struct SafetyNet {
    node: Arc<Node>,
    cursor: NetCursor,
}

impl SafetyNet {
    /// The pause before the first step.
    pub(crate) const PAUSE: Duration = Duration::from_millis(limits::SAFETY_NET_MS);

    /// Creates the chore at the beginning of a walk.
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node, cursor: NetCursor::default() }
    }
}

impl Chore for SafetyNet {
    const NAME: &'static str = "safety_net";
    const PLACES: [&'static str; 2] = ["safety_net: started", "safety_net: stopped"];

    async fn round(&mut self) -> Result<Duration, Error> {
        let (lost, cursor) = self.node.store.safety_net(self.cursor).await?;
        self.cursor = cursor;
        metrics::LOST_WAKES.with([]).increment(lost);
        if lost > 0 {
            tracing::error!(sagas = lost, "sagas that nothing would have woken; this is a defect, please report it");
        }
        Ok(Self::PAUSE)
    }
}
