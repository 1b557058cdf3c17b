//! Keeps this node alive in the eyes of the others, and the clock right. Owns the beat and the node's present
//! identity; who calls a silent node dead is the sweep.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use actix::prelude::*;

use super::clock::Clock;
use super::node::Node;
use super::supervisor::{Observe, Observed};
use crate::boundary;
use crate::config::actor as limits;
use crate::metrics;
use crate::saga::definition::Millis;
use crate::store::{Beat, Error, NodeId, Store};

/// Which incarnation this process is, at present. A process that was taken for dead joins again as another.
#[derive(Debug)]
pub struct Membership {
    name: String,
    lease: Duration,
    id: AtomicI64,
}

impl Membership {
    /// Joins under a name for people, and starts the clock with the first beat.
    pub async fn join(store: &Store, name: &str, lease: Duration) -> Result<(Self, Clock), Error> {
        let (id, sent, beat) = join(store, name, lease, None).await?;
        let membership = Self { name: name.to_owned(), lease, id: AtomicI64::new(id.0) };
        let clock = Clock::new(sent, beat.at, membership.trust());
        Ok((membership, clock))
    }

    /// How long a confirmed beat is worth trusting, counted from its sending: others wait for the whole
    /// lease.
    fn trust(&self) -> Duration {
        self.lease.mul_f64(limits::TRUSTED_SHARE)
    }

    /// The present incarnation.
    pub fn id(&self) -> NodeId {
        NodeId(self.id.load(Ordering::Acquire))
    }

    /// The name for people.
    pub fn name(&self) -> &str {
        &self.name
    }
}

async fn join(
    store: &Store,
    name: &str,
    lease: Duration,
    before: Option<NodeId>,
) -> Result<(NodeId, Instant, Beat), Error> {
    let ttl_ms = Millis::try_from(lease.as_millis()).unwrap_or(Millis::MAX);
    let id = store.join_after(before, name, env!("CARGO_PKG_VERSION"), ttl_ms).await?;
    let sent = Instant::now();
    Ok((id, sent, store.beat(id, 0, None).await?))
}

/// Beats.
pub struct Heartbeat {
    node: Arc<Node>,
}

impl Heartbeat {
    /// Beats for this node.
    pub fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    fn beat(&mut self, ctx: &mut Context<Self>) {
        let node = self.node.clone();
        let beat = async move {
            let sent = Instant::now();
            let residents = node.residents.load(Ordering::Relaxed);
            metrics::SAGAS_RESIDENT.with([]).set(residents as f64);
            // Shown before a call has waited for the first time, too.
            for place in ["transaction", "participant"] {
                metrics::PLACES_WAITING.with([place.into()]).increment(0.0);
            }
            metrics::LEASE_TRUSTED.with([]).set(f64::from(node.clock.is_trusted()));
            metrics::BUILD.with([env!("CARGO_PKG_VERSION").into()]).set(1.0);
            let waits = node.waits.json();
            match node.store.beat(node.membership.id(), residents, waits.as_deref()).await {
                Ok(beat) => confirmed(&node, sent, &beat),
                Err(Error::Fenced) => rejoin(&node).await,
                Err(error) => tracing::warn!(%error, "beat not confirmed"),
            }
        };
        ctx.spawn(beat.into_actor(self).map(|(), _, ctx| {
            ctx.run_later(Duration::from_millis(limits::BEAT_MS), Self::beat);
        }));
    }
}

fn confirmed(node: &Node, sent: Instant, beat: &Beat) {
    node.clock.sample(sent, beat.at, node.membership.trust());
    node.claiming.told(beat.draining);
}

/// Somebody took this node for dead: what it had belongs to others now. Its lanes find that out by
/// themselves.
async fn rejoin(node: &Arc<Node>) {
    node.clock.distrust();
    tracing::warn!(node = node.membership.id().0, "this node was taken for dead, it joins again as another");
    let before = node.membership.id();
    match join(&node.store, node.membership.name(), node.membership.lease, Some(before)).await {
        Ok((id, sent, beat)) => {
            // In this order: who sees the trust sees whose it is.
            node.membership.id.store(id.0, Ordering::Release);
            confirmed(node, sent, &beat);
            actix::spawn(exonerate(node.clone(), before));
        }
        Err(error) => tracing::warn!(%error, "not joined again yet"),
    }
}

/// Whatever was being tried as that node, this process has not died of it: says so until everybody must have judged
/// what that node had.
async fn exonerate(node: Arc<Node>, before: NodeId) {
    let judged = Instant::now() + node.membership.lease * 2 + Duration::from_millis(limits::SWEEP_MS * 2);
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

impl Actor for Heartbeat {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        boundary::pass("heartbeat: started");
        self.beat(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        boundary::pass("heartbeat: stopped");
    }
}

impl Handler<Observe> for Heartbeat {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(Observed::default())
    }
}
