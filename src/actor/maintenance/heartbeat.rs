//! Renews the lease of this node, and takes a sample of the database's clock with each beat. A node that was declared
//! dead joins again here. Leaves declaring nodes dead to `dead_nodes.rs`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::periodic::Chore;
use crate::actor::node::context::Node;
use crate::config::actor as limits;
use crate::metrics;
use crate::store::{Error, NodeId};

/// Chore that renews the lease.
pub(crate) struct Heartbeat(pub(crate) Arc<Node>);

impl Chore for Heartbeat {
    const NAME: &'static str = "heartbeat";
    const PLACES: [&'static str; 2] = ["heartbeat: started", "heartbeat: stopped"];

    async fn round(&mut self) -> Result<Duration, Error> {
        let (node, sent) = (&self.0, Instant::now());
        let residents = node.telemetry.residents.load(Ordering::Relaxed);
        show(node, residents);
        let waits = node.waits.json();
        let claims = if node.claim_pause.claims() { node.definitions.digest() } else { None };
        match node.store.beat(node.lease.membership.id(), residents, waits.as_deref(), claims).await {
            Ok(beat) => node.confirmed(sent, &beat),
            Err(Error::Fenced) => rejoin(node).await,
            Err(error) => tracing::warn!(%error, "beat not confirmed"),
        }
        Ok(Duration::from_millis(limits::BEAT_MS))
    }
}

/// Sets the gauges of the node itself.
fn show(node: &Node, residents: usize) {
    metrics::SAGAS_RESIDENT.with([]).set(residents as f64);
    // The gauge must exist even before a call has waited.
    for place in ["transaction", "participant"] {
        metrics::PLACES_WAITING.with([place.into()]).increment(0.0);
    }
    // So must these, even if the node polls.
    metrics::LISTENING.with([]).increment(0.0);
    metrics::NOTIFICATIONS.with([]).increment(0);
    metrics::ASLEEP.with([]).set(0.0);
    node.chores.show();
    metrics::LEASE_TRUSTED.with([]).set(f64::from(node.lease.clock.is_trusted()));
    metrics::BUILD.with([env!("CARGO_PKG_VERSION").into()]).set(1.0);
}

/// Joins again: this node was declared dead, or is about to be. The sagas of this node belong to others; its lanes
/// find that out by themselves.
async fn rejoin(node: &Arc<Node>) {
    node.lease.clock.distrust();
    tracing::warn!(node = node.lease.membership.id().0, "this node was declared dead; joining again as another");
    let before = node.lease.membership.id();
    match node.lease.membership.rejoin(&node.store).await {
        Ok((sent, beat)) => {
            node.confirmed(sent, &beat);
            actix::spawn(exonerate(node.clone(), before));
        }
        Err(error) => tracing::warn!(%error, "could not join again; retrying"),
    }
}

/// Clears every saga that was being tried on the node `before`: this process is alive, so it did not die of them.
/// Repeats that until every node must have judged the sagas of `before`.
async fn exonerate(node: Arc<Node>, before: NodeId) {
    let _awake = node.idleness.hold();
    let judged = Instant::now() + node.lease.membership.lease() * 2 + Duration::from_millis(limits::SWEEP_MS * 2);
    loop {
        match node.store.exonerate(before).await {
            Ok(_) if Instant::now() > judged => return,
            Ok(0) => {}
            Ok(sagas) => tracing::info!(sagas, "cleared sagas that were set aside for a death of this process"),
            Err(error) => tracing::warn!(%error, "could not clear the quarantine marks of this process; retrying"),
        }
        tokio::time::sleep(Duration::from_millis(limits::BEAT_MS)).await;
    }
}
