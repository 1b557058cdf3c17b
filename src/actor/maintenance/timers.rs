//! Fires the timers of parked sagas: makes a saga ready when its time has come. Any node may do so at any time.

use std::sync::Arc;
use std::time::Duration;

use super::periodic::Chore;
use crate::actor::node::context::Node;
use crate::config::actor as limits;
use crate::metrics;
use crate::store::Error;

/// Chore that fires timers.
pub(crate) struct Timers(pub(crate) Arc<Node>);

impl Chore for Timers {
    const NAME: &'static str = "timers";
    const PLACES: [&'static str; 2] = ["timers: started", "timers: stopped"];

    async fn round(&mut self) -> Result<Duration, Error> {
        let fired = self.0.store.fire_timers(limits::TIMERS_MAX).await?;
        metrics::TIMERS_FIRED.with([]).increment(fired);
        let more = usize::try_from(fired).is_ok_and(|fired| fired >= limits::TIMERS_MAX);
        Ok(if more { Duration::ZERO } else { Duration::from_millis(limits::TIMERS_POLL_MS) })
    }
}
