//! Looks for something to do on this node, by one statement for all its lanes, and tells the actors that do it. Takes
//! and renews the leases of the fleet's chores. A look that finds nothing writes nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::periodic::Chore;
use crate::actor::dispatch::lane_router::LaneRouter;
use crate::actor::node::context::Node;
use crate::actor::node::fleet_chores::FleetChore;
use crate::actor::node::pacing;
use crate::boundary;
use crate::config::actor as limits;
use crate::store::{Error, Look};

/// Chore that looks.
pub(crate) struct Lookout {
    node: Arc<Node>,
    router: LaneRouter,
    pause: Duration,
    /// When the last look began.
    looked_at: Option<Instant>,
    /// Whether the lanes were last told to drain.
    draining: bool,
    /// The last look failed.
    failed: bool,
    /// The last look found ready rows or starts.
    unclaimed: bool,
    /// The last definition and the last order of an operator that a look found.
    newest: Option<(Option<i32>, Option<i64>)>,
}

impl Lookout {
    /// Creates the lookout of this node.
    pub(crate) fn new(node: Arc<Node>, router: LaneRouter) -> Self {
        Self {
            node,
            router,
            pause: Duration::from_millis(limits::LOOK_LEAST_MS),
            looked_at: None,
            draining: false,
            failed: false,
            unclaimed: false,
            newest: None,
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        let node = &self.node;
        let draining = node.claim_pause.is_draining();
        if self.draining != draining {
            self.draining = draining;
            self.router.look_everywhere();
        }
        let definitions = if node.claim_pause.claims() { node.definitions.runnable() } else { Vec::new() };
        let (wanted, held) = (node.chores.wanted(), self.held());
        let look = node.store.look(&self.router.lanes(), &definitions, &node.watermarks, &wanted, &held).await?;
        if std::mem::take(&mut self.failed) {
            // The connection was lost, perhaps to a server that is gone: each lane looks where it writes now.
            self.router.look_everywhere();
        }
        self.tell(&look);
        // A node whose beats fail sweeps nothing, so it must not keep others from it.
        if self.node.lease.clock.is_trusted() {
            self.take_chores(&look.chores).await?;
        }
        self.node.store.raise_virtual_times(&self.node.watermarks).await?;
        Ok(())
    }

    fn tell(&mut self, look: &Look) {
        // Rows that the lane which was told has not taken: perhaps it is full, and others are not.
        let again = std::mem::replace(&mut self.unclaimed, look.ready > 0 || look.starts > 0);
        self.router.tell(look, again);
        let hints = &self.node.wakeups.hints;
        if look.reruns {
            hints.ring_for_reruns();
        }
        if look.timers {
            hints.ring_for_timers();
        }
        if look.knocks {
            hints.ring_for_turns();
        }
        if self.newest.replace(look.newest).is_some_and(|before| before != look.newest) {
            hints.ring_for_definitions();
        }
    }

    /// Returns the pause before the next look. A node without sagas that has found nothing for a while waits for its
    /// turn; a node that looks for the whole fleet does not.
    fn until_next(&self, most: Duration) -> Duration {
        let node = &self.node;
        let stood_in_for = node.telemetry.residents.load(Ordering::Relaxed) == 0 && self.held().is_empty();
        if self.pause == most && stood_in_for && !self.failed {
            return node.look_turn.pause(node.lease.clock.now_ms());
        }
        pacing::slightly_shorter(self.pause)
    }

    /// Returns the chores of this node whose work a look finds.
    fn held(&self) -> Vec<&'static str> {
        let takes_turns = self.node.definitions.any_takes_turns();
        let looked_for = [(FleetChore::Timers, true), (FleetChore::Turns, takes_turns)];
        let held = looked_for.into_iter().filter(|(chore, used)| *used && self.node.chores.holds(*chore));
        held.map(|(chore, _)| chore.as_str()).collect()
    }

    /// Takes the chores that no node does, and renews the leases that end soon.
    async fn take_chores(&self, free: &[String]) -> Result<(), Error> {
        let (chores, lease) = (&self.node.chores, Duration::from_millis(limits::CHORE_LEASE_MS));
        let renewed = chores.to_renew(lease / 2);
        let wanted: Vec<&str> = free.iter().map(String::as_str).chain(renewed).collect();
        if !wanted.is_empty() {
            let sent = Instant::now();
            let taken = self.node.store.take_chores(self.node.lease.membership.id(), &wanted, lease).await?;
            chores.taken(&taken, sent, lease);
        }
        Ok(())
    }
}

impl Chore for Lookout {
    const NAME: &'static str = "look";
    const PLACES: [&'static str; 2] = ["lookout: started", "lookout: stopped"];

    /// Looks once: soon after the lanes found something, ever later after each look in vain, and at once after a hint.
    async fn round(&mut self) -> Result<Duration, Error> {
        let (least, most) = (Duration::from_millis(limits::LOOK_LEAST_MS), Duration::from_millis(limits::LOOK_MOST_MS));
        if let Some(at) = self.looked_at
            && self.node.wakeups.hints.looks(self.until_next(most)).await
        {
            tokio::time::sleep(least.saturating_sub(at.elapsed())).await;
        }
        self.looked_at = Some(Instant::now());
        if let Err(error) = self.look().await {
            tracing::warn!(%error, "could not look for work; retrying");
            (self.pause, self.failed) = (most, true);
        } else if self.node.wakeups.hints.take_found() {
            self.unclaimed = false;
            self.pause = least;
        } else {
            self.pause = (self.pause * 2).min(most);
        }
        if let Some(pause_ms) = boundary::look_pause_ms(self.node.lease.membership.name()) {
            self.pause = Duration::from_millis(pause_ms);
        }
        Ok(Duration::ZERO)
    }
}
