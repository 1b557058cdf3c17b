//! Makes partitions ahead, drops those whose retention has passed, and forgets nodes and lanes that are long gone.

use std::sync::Arc;
use std::time::Duration;

use super::periodic::{Chore, failed};
use crate::actor::node::context::Node;
use crate::config::actor as limits;

/// Looks after partitions and retention.
pub(crate) struct Retention(pub(crate) Arc<Node>);

impl Chore for Retention {
    const PLACES: [&'static str; 2] = ["retention: started", "retention: stopped"];

    async fn round(&mut self) -> Duration {
        match self.0.store.tidy().await {
            Ok(rows) => {
                if rows > 0 {
                    tracing::error!(rows, "rows in a default partition: are the partitions made ahead?");
                }
                Duration::from_millis(limits::TIDY_MS)
            }
            Err(error) => failed("tidy", &error),
        }
    }
}
