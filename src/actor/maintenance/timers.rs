//! Fires the timers of parked sagas: makes a saga ready when its time has come. The look of the node that has the
//! chore finds what is due. Any node may fire any timer at any time.

use std::sync::Arc;
use std::time::Duration;

use super::periodic::Chore;
use crate::actor::node::context::Node;
use crate::actor::node::fleet_chores::FleetChore;
use crate::config::actor as limits;
use crate::metrics;
use crate::store::Error;

/// Chore that fires timers.
pub(crate) struct Timers {
    node: Arc<Node>,
    /// There may be more that are due.
    more: bool,
}

impl Timers {
    /// Creates the chore of this node.
    pub(crate) fn new(node: Arc<Node>) -> Self {
        node.chores.forget_round(FleetChore::Timers);
        Self { node, more: true }
    }

    async fn fire(&mut self) -> Result<(), Error> {
        let fired = self.node.store.fire_timers(limits::TIMERS_MAX).await?;
        metrics::TIMERS_FIRED.with([]).increment(fired);
        self.more = usize::try_from(fired).is_ok_and(|fired| fired >= limits::TIMERS_MAX);
        Ok(())
    }
}

impl Chore for Timers {
    const NAME: &'static str = "timers";
    const PLACES: [&'static str; 2] = ["timers: started", "timers: stopped"];

    /// Fires what is due when a look has found something, and now and then without that, if this node has the chore.
    async fn round(&mut self) -> Result<Duration, Error> {
        if !self.more {
            self.node.wakeups.hints.timers(Duration::from_millis(limits::TIMERS_POLL_MS)).await;
        }
        self.more = false;
        let node = self.node.clone();
        node.chores.run(FleetChore::Timers, self.fire()).await.transpose()?;
        Ok(Duration::ZERO)
    }
}
