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
    chore: C,
}

impl<C> Fleet<C> {
    /// Creates the chore.
    pub(crate) fn new(node: Arc<Node>, which: FleetChore, chore: C) -> Self {
        node.chores.forget_round(which);
        Self { node, which, chore }
    }
}

impl<C: Chore> Chore for Fleet<C> {
    const NAME: &'static str = C::NAME;
    const PLACES: [&'static str; 2] = C::PLACES;

    async fn round(&mut self) -> Result<Duration, Error> {
        let taken = self.node.chores.next_taken();
        match self.node.chores.run(self.which, self.chore.round()).await {
            Some(done) => done,
            None => {
                taken.await;
                Ok(Duration::ZERO)
            }
        }
    }
}
