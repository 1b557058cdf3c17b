//! Makes partitions ahead of time, drops those whose retention has passed, erases payloads whose retention has passed,
//! and forgets what is long gone: nodes, lanes, ended suspects and old throughput.

use std::sync::Arc;
use std::time::Duration;

use super::periodic::Chore;
use crate::actor::node::context::Node;
use crate::config::actor as limits;
use crate::store::Error;

/// Chore for partitions and retention.
pub(crate) struct Retention(pub(crate) Arc<Node>);

impl Chore for Retention {
    const NAME: &'static str = "retention";
    const PLACES: [&'static str; 2] = ["retention: started", "retention: stopped"];

    async fn round(&mut self) -> Result<Duration, Error> {
        let rows = self.0.store.tidy().await?;
        if rows > 0 {
            tracing::error!(rows, "rows in a default partition; check that partitions are made ahead of time");
        }
        let sagas = self.0.store.erase_expired().await?;
        if sagas > 0 {
            tracing::info!(sagas, "erased the payloads of sagas whose retention has passed");
        }
        Ok(Duration::from_millis(limits::TIDY_MS))
    }
}
