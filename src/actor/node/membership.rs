//! The incarnation of this process as a node, with its name and its lease. A process that was declared dead joins
//! under another id. Leaves the beat to `maintenance/heartbeat.rs`.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use super::clock::Clock;
use crate::config::actor as limits;
use crate::saga::definition::Millis;
use crate::store::{Beat, Error, NodeId, Store};

/// The present incarnation of this process.
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

    /// Joins again as another incarnation, after this one was declared dead; returns when its first beat was sent, and
    /// the answer. The id changes before the answer can renew any trust.
    pub(crate) async fn rejoin(&self, store: &Store) -> Result<(Instant, Beat), Error> {
        let (id, sent, beat) = join(store, &self.name, self.lease, Some(self.id())).await?;
        self.id.store(id.0, Ordering::Release);
        Ok((sent, beat))
    }

    /// How long a confirmed beat may be trusted, counted from its sending. Other nodes wait for the whole lease.
    pub(crate) fn trust(&self) -> Duration {
        self.lease.mul_f64(limits::TRUSTED_SHARE)
    }

    /// How long this node may be silent before others take its sagas.
    pub(crate) fn lease(&self) -> Duration {
        self.lease
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
