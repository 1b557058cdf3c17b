//! Declares silent nodes dead and requeues their sagas for any node to claim. Then looks for what an earlier sweep
//! left behind. Any node may do so at any time. The store's statements judge what a death means for a saga.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::periodic::Chore;
use crate::actor::node::context::Node;
use crate::actor::node::pacing;
use crate::config::actor as limits;
use crate::metrics;
use crate::store::{DefinitionId, Error, Swept};

/// Chore that declares a node dead once its lease has passed, and disowns a node that was told to release a saga and
/// did not.
pub(crate) struct DeadNodes(pub(crate) Arc<Node>);

/// Chore that requeues sagas of lanes that are gone and that no sweep has requeued.
pub(crate) struct LeftBehind(pub(crate) Arc<Node>);

impl Chore for DeadNodes {
    const NAME: &'static str = "sweep";
    const PLACES: [&'static str; 2] = ["dead_nodes: started", "dead_nodes: stopped"];

    async fn round(&mut self) -> Result<Duration, Error> {
        let swept = sweep(&self.0).await?;
        metrics::SWEEPS.with([]).increment(1);
        metrics::LANES_SWEPT.with([]).increment(swept.lanes);
        if swept.lanes + swept.sagas + swept.wakes > 0 {
            let (lanes, sagas, wakes) = (swept.lanes, swept.sagas, swept.wakes);
            tracing::info!(lanes, sagas, wakes, "swept up after a node that is gone");
        }
        report_convicted(&self.0, &swept.aside);
        Ok(Duration::from_millis(limits::SWEEP_MS))
    }
}

impl Chore for LeftBehind {
    const NAME: &'static str = "orphans";
    const PLACES: [&'static str; 2] = ["left_behind: started", "left_behind: stopped"];

    async fn round(&mut self) -> Result<Duration, Error> {
        let began = Instant::now();
        let swept = self.0.store.sweep_orphans().await?;
        if swept.sagas > 0 {
            tracing::info!(sagas = swept.sagas, "requeued sagas that an earlier sweep had left behind");
        }
        report_convicted(&self.0, &swept.aside);
        Ok(pacing::in_proportion(Duration::from_millis(limits::SWEEP_MS), began.elapsed()))
    }
}

async fn sweep(node: &Node) -> Result<Swept, Error> {
    for lost in node.store.enforce_evictions().await? {
        tracing::warn!(node = lost.0, "a node did not release a saga in time; declaring it dead");
    }
    node.store.sweep_dead(node.lease.membership.id()).await
}

/// Reports the sagas that the sweep set aside because each crashed every process that took it up alone.
fn report_convicted(node: &Node, aside: &[(Uuid, DefinitionId)]) {
    for (saga, definition) in aside {
        tracing::error!(saga.id = %saga, "the saga crashed every process that took it up; it is stuck");
        if let Some(pinned) = node.definitions.get(*definition) {
            pinned.counts.became_stuck();
        }
    }
}
