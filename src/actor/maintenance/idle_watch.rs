//! Watches whether this node has anything to do, and lets it fall asleep if it had nothing for a while and nothing is
//! due soon. What is asked here is asked again when the node no longer has a lane; see `runtime/sleep.rs`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::periodic::Chore;
use crate::actor::node::context::Node;
use crate::config::actor::{self as limits, IdleSleep};
use crate::store::Error;

/// Chore that watches.
pub(crate) struct IdleWatch {
    node: Arc<Node>,
    sleep: IdleSleep,
    /// Since when the node had nothing to do, and its activity then.
    idle: Option<(Instant, u64)>,
}

impl IdleWatch {
    /// Creates the watch of this node.
    pub(crate) fn new(node: Arc<Node>, sleep: IdleSleep) -> Self {
        Self { node, sleep, idle: None }
    }

    /// Whether anything on this node keeps it awake. A node that an operator drains stays, so that the operator sees
    /// it drained.
    fn is_busy(&self) -> bool {
        let node = &self.node;
        node.telemetry.residents.load(Ordering::Relaxed) > 0
            || node.idleness.is_held()
            || node.wakeups.waiters.are_there()
            || node.claim_pause.is_draining()
            || !node.lease.clock.is_trusted()
    }
}

impl Chore for IdleWatch {
    const NAME: &'static str = "idle";
    const PLACES: [&'static str; 2] = ["idle_watch: started", "idle_watch: stopped"];

    async fn round(&mut self) -> Result<Duration, Error> {
        let pace = (self.sleep.after / 4).min(Duration::from_millis(limits::IDLE_WATCH_MS));
        let activity = self.node.idleness.activity();
        let same = self.idle.filter(|(_, before)| *before == activity && !self.is_busy());
        let Some((since, _)) = same else {
            self.idle = (!self.is_busy()).then(|| (Instant::now(), activity));
            return Ok(pace);
        };
        if since.elapsed() < self.sleep.after {
            return Ok(pace);
        }
        // If it cannot sleep now, it asks again after the same time.
        self.idle = None;
        let due = self.node.store.next_due(&self.node.definitions.runnable()).await?;
        let least = Duration::from_millis(limits::SLEEP_MS_MIN);
        if due.is_none_or(|due| due > least) && !self.is_busy() {
            self.node.idleness.ask_to_sleep();
        }
        Ok(pace)
    }
}
