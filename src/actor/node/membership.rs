//! This process as a node: its incarnation, name and lease. A process that was declared dead joins again under
//! another id. Leaves the beat to `maintenance/heartbeat.rs`.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use super::lease_clock::LeaseClock;
use crate::config::actor as limits;
use crate::saga::definition::Millis;
use crate::store::{Beat, Error, NodeId, Store};

/// Current incarnation of this process.
#[derive(Debug)]
pub struct Membership {
    name: String,
    lease: Duration,
    connections: usize,
    id: AtomicI64,
}

impl Membership {
    /// Joins under a name, which is only a label, and starts the clock with the first beat. `connections`: the most
    /// that this node opens.
    pub async fn join(
        store: &Store,
        name: &str,
        lease: Duration,
        connections: usize,
    ) -> Result<(Self, LeaseClock), Error> {
        let (id, sent, beat) = join(store, name, lease, connections, None).await?;
        let membership = Self { name: name.to_owned(), lease, connections, id: AtomicI64::new(id.0) };
        let clock = LeaseClock::new(sent, beat.at, membership.trust());
        Ok((membership, clock))
    }

    /// Joins again as another incarnation, after this one was declared dead. Returns when the first beat was sent,
    /// and its answer. The id changes before the answer can renew any trust.
    pub(crate) async fn rejoin(&self, store: &Store) -> Result<(Instant, Beat), Error> {
        let (id, sent, beat) = join(store, &self.name, self.lease, self.connections, Some(self.id())).await?;
        self.id.store(id.0, Ordering::Release);
        Ok((sent, beat))
    }

    /// Returns how long a confirmed beat may be trusted, counted from its sending. Other nodes wait for the whole
    /// lease.
    pub(crate) fn trust(&self) -> Duration {
        self.lease.mul_f64(limits::TRUSTED_SHARE)
    }

    /// Returns how long this node may be silent before other nodes take its sagas.
    pub(crate) fn lease(&self) -> Duration {
        self.lease
    }

    /// Returns the current incarnation.
    pub fn id(&self) -> NodeId {
        NodeId(self.id.load(Ordering::Acquire))
    }

    /// Returns the name, which is only a label.
    pub fn name(&self) -> &str {
        &self.name
    }
}

async fn join(
    store: &Store,
    name: &str,
    lease: Duration,
    connections: usize,
    before: Option<NodeId>,
) -> Result<(NodeId, Instant, Beat), Error> {
    let ttl_ms = Millis::try_from(lease.as_millis()).unwrap_or(Millis::MAX);
    let id = store.join_after(before, name, env!("CARGO_PKG_VERSION"), ttl_ms, connections).await?;
    // The first beat also prepares its statement. The clock counts from the sending of a beat, so it would run ahead by
    // that time, and findings of operators would seem to be older than they are.
    store.beat(id, 0, None, None).await?;
    let sent = Instant::now();
    Ok((id, sent, store.beat(id, 0, None, None).await?))
}
