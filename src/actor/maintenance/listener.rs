//! Listens for notifications: transactions that start a saga by SQL, or ask something of one, send them. A
//! notification is a hint to look at once; the looks of `lookout.rs` go on without it.

use std::sync::Arc;
use std::time::Duration;

use super::periodic::Chore;
use crate::actor::node::context::Node;
use crate::actor::node::fleet_chores::FleetChore;
use crate::config::actor as limits;
use crate::metrics;
use crate::store::{self, Error, NodeId};

/// Chore that listens.
pub(crate) struct Listener {
    node: Arc<Node>,
    /// The session that listens, and the incarnation of this process for which it does. None: there is none.
    session: Option<(NodeId, store::Listener)>,
    /// Pause before the next try to listen.
    pause: Duration,
}

impl Listener {
    /// Creates the listener of this node.
    pub(crate) fn new(node: Arc<Node>) -> Self {
        metrics::LISTENING.with([]).set(0.0);
        Self { node, session: None, pause: Duration::from_millis(limits::LISTEN_PAUSE_MS) }
    }

    /// Begins to listen. What was committed before is found by a look.
    async fn begin(&mut self) -> Result<(), Error> {
        let store = &self.node.store;
        let session = store.listen().await?;
        let member = self.node.lease.membership.id();
        store.put_listener(member).await?;
        self.session = Some((member, session));
        self.pause = Duration::from_millis(limits::LISTEN_PAUSE_MS);
        metrics::LISTENING.with([]).set(1.0);
        tracing::info!("listening: starts and requests by SQL wake this node");
        self.wake();
        Ok(())
    }

    /// Hints that there may be something to do.
    fn wake(&self) {
        self.node.wakeups.hints.ring_for_looks();
        // One node is enough. Without it, the node that has the chore finds the start when it polls.
        if self.node.chores.holds(FleetChore::Turns) {
            self.node.wakeups.hints.ring_for_turns();
        }
    }

    /// Forgets the session. Until there is another, the node polls. Returns the pause before the next try.
    async fn lost(&mut self, error: &Error) -> Duration {
        self.session = None;
        metrics::LISTENING.with([]).set(0.0);
        tracing::warn!(%error, "cannot listen; polling, and retrying");
        if matches!(error, Error::Settings(_)) {
            let removed = self.node.store.remove_listener(self.node.lease.membership.id()).await;
            if let Err(error) = removed {
                tracing::warn!(%error, "could not record that this node does not listen");
            }
        }
        let most = Duration::from_millis(limits::LISTEN_PAUSE_MAX_MS);
        let longer = (self.pause * 2).min(most);
        std::mem::replace(&mut self.pause, longer)
    }
}

impl Chore for Listener {
    const NAME: &'static str = "listen";
    const PLACES: [&'static str; 2] = ["listener: started", "listener: stopped"];

    /// Waits for a notification. From time to time checks whether the process has joined again as another node.
    async fn round(&mut self) -> Result<Duration, Error> {
        let Some((member, session)) = &mut self.session else {
            return Ok(match self.begin().await {
                Ok(()) => Duration::ZERO,
                Err(error) => self.lost(&error).await,
            });
        };
        let heard = tokio::time::timeout(Duration::from_millis(limits::BEAT_MS), session.heard()).await;
        let now = self.node.lease.membership.id();
        if *member != now {
            self.node.store.put_listener(now).await?;
            *member = now;
        }
        match heard {
            Err(_) => {}
            Ok(Some(count)) => {
                metrics::NOTIFICATIONS.with([]).increment(count);
                let spread = Duration::from_millis(limits::NOTIFIED_SPREAD_MS);
                tokio::time::sleep(spread.mul_f64(rand::random::<f64>())).await;
                self.wake();
            }
            Ok(None) => {
                let lost = Error::Unavailable("the session that listens was lost".to_owned());
                return Ok(self.lost(&lost).await);
            }
        }
        Ok(Duration::ZERO)
    }
}
