//! Renews the lease of this node and takes a sample of the database's clock with each beat. A node that was declared
//! dead joins again here. Leaves declaring nodes dead to `dead_nodes.rs`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::periodic::Chore;
use crate::actor::node::context::Node;
use crate::config::actor as limits;
use crate::metrics;
use crate::store::{Beat, Error, NodeId};

/// The beat.
pub(crate) struct Heartbeat(pub(crate) Arc<Node>);

impl Chore for Heartbeat {
    const PLACES: [&'static str; 2] = ["heartbeat: started", "heartbeat: stopped"];

    async fn round(&mut self) -> Duration {
        let (node, sent) = (&self.0, Instant::now());
        let residents = node.telemetry.residents.load(Ordering::Relaxed);
        show(node, residents);
        let waits = node.waits.json();
        match node.store.beat(node.lease.membership.id(), residents, waits.as_deref()).await {
            Ok(beat) => confirmed(node, sent, &beat),
            Err(Error::Fenced) => rejoin(node).await,
            Err(error) => tracing::warn!(%error, "beat not confirmed"),
        }
        Duration::from_millis(limits::BEAT_MS)
    }
}

/// Sets the gauges of the node itself.
fn show(node: &Node, residents: usize) {
    metrics::SAGAS_RESIDENT.with([]).set(residents as f64);
    // Shown before a call has waited for the first time, too.
    for place in ["transaction", "participant"] {
        metrics::PLACES_WAITING.with([place.into()]).increment(0.0);
    }
    metrics::LEASE_TRUSTED.with([]).set(f64::from(node.lease.clock.is_trusted()));
    metrics::BUILD.with([env!("CARGO_PKG_VERSION").into()]).set(1.0);
}

fn confirmed(node: &Node, sent: Instant, beat: &Beat) {
    node.lease.clock.sample(sent, beat.at, node.lease.membership.trust());
    node.claiming.told(beat.draining);
}

/// Somebody took this node for dead: what it had belongs to others now. Its lanes find that out by
/// themselves.
async fn rejoin(node: &Arc<Node>) {
    node.lease.clock.distrust();
    tracing::warn!(node = node.lease.membership.id().0, "this node was taken for dead, it joins again as another");
    let before = node.lease.membership.id();
    match node.lease.membership.rejoin(&node.store).await {
        Ok((sent, beat)) => {
            confirmed(node, sent, &beat);
            actix::spawn(exonerate(node.clone(), before));
        }
        Err(error) => tracing::warn!(%error, "not joined again yet"),
    }
}

/// Whatever was being tried as that node, this process has not died of it: says so until everybody must have judged
/// what that node had.
async fn exonerate(node: Arc<Node>, before: NodeId) {
    let judged = Instant::now() + node.lease.membership.lease() * 2 + Duration::from_millis(limits::SWEEP_MS * 2);
    loop {
        match node.store.exonerate(before).await {
            Ok(_) if Instant::now() > judged => return,
            Ok(0) => {}
            Ok(sagas) => tracing::info!(sagas, "they were put aside as if this process had died of them"),
            Err(error) => tracing::warn!(%error, "not recorded yet that this process lives"),
        }
        tokio::time::sleep(Duration::from_millis(limits::BEAT_MS)).await;
    }
}
