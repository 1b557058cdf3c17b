//! A chore that one node of the fleet does for all nodes. Owns the check of the lease; `lookout.rs` takes and renews
//! it.

use std::sync::Arc;
use std::time::Duration;

use super::periodic::Chore;
use crate::actor::node::context::Node;
use crate::actor::node::fleet_chores::FleetChore;
use crate::store::Error;

/// A chore of the fleet on this node.
pub(crate) struct Fleet<C> {
    node: Arc<Node>,
    which: FleetChore,
    /// Pause while another node does the chore.
    pace: Duration,
    chore: C,
}

impl<C> Fleet<C> {
    /// Creates the chore. `pace_ms`: pause, in milliseconds, between two checks whether this node does it now.
    pub(crate) fn new(node: Arc<Node>, which: FleetChore, pace_ms: u64, chore: C) -> Self {
        node.chores.forget_round(which);
        Self { node, which, pace: Duration::from_millis(pace_ms), chore }
    }
}

impl<C: Chore> Chore for Fleet<C> {
    const NAME: &'static str = C::NAME;
    const PLACES: [&'static str; 2] = C::PLACES;

    async fn round(&mut self) -> Result<Duration, Error> {
        let done = self.node.chores.run(self.which, self.chore.round()).await;
        done.unwrap_or(Ok(self.pace))
    }
}
