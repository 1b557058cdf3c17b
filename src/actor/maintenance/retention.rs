//! Makes partitions ahead of time, drops those whose retention has passed, and forgets what is long gone: nodes,
//! lanes, ended suspects and old throughput.

use std::sync::Arc;
use std::time::Duration;

use super::periodic::{Chore, failed};
use crate::actor::node::context::Node;
use crate::config::actor as limits;

/// Chore for partitions and retention.
pub(crate) struct Retention(pub(crate) Arc<Node>);

impl Chore for Retention {
    const PLACES: [&'static str; 2] = ["retention: started", "retention: stopped"];

    async fn round(&mut self) -> Duration {
        match self.0.store.tidy().await {
            Ok(rows) => {
                if rows > 0 {
                    tracing::error!(rows, "rows in a default partition; check that partitions are made ahead of time");
                }
                Duration::from_millis(limits::TIDY_MS)
            }
            Err(error) => failed("tidy", &error),
        }
    }
}
