//! Looks for orphans on this node from time to time: sagas that a lane owns and that have no actor. One statement reads
//! what all lanes own; each dispatcher compares it with what it has (`dispatch/orphans.rs`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::periodic::Chore;
use crate::actor::dispatch::lane_router::LaneRouter;
use crate::actor::node::context::Node;
use crate::actor::node::pacing;
use crate::config::actor as limits;
use crate::store::Error;

/// Chore that looks for orphans.
pub(crate) struct OrphanFinder {
    pub(crate) node: Arc<Node>,
    pub(crate) router: LaneRouter,
}

impl OrphanFinder {
    /// The pause before the first look.
    pub(crate) const PAUSE: Duration = Duration::from_millis(limits::STRAYS_LOOK_MS);
}

impl Chore for OrphanFinder {
    const NAME: &'static str = "orphan_finder";
    const PLACES: [&'static str; 2] = ["orphan_finder: started", "orphan_finder: stopped"];

    async fn round(&mut self) -> Result<Duration, Error> {
        let (began, lanes) = (Instant::now(), self.router.lanes());
        if !lanes.is_empty() {
            let owned = self.node.store.owned_by(&lanes).await?;
            self.router.tell_owned(&lanes, &owned);
        }
        Ok(pacing::in_proportion(Self::PAUSE, began.elapsed()))
    }
}
