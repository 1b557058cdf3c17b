//! Reads the definitions that other programs have registered. The registry is `node/definitions.rs`.

use std::sync::Arc;
use std::time::Duration;

use super::periodic::Chore;
use crate::actor::node::context::Node;
use crate::config::actor as limits;
use crate::store::Error;

/// Chore that keeps the registry up to date.
pub(crate) struct DefinitionPoller(pub(crate) Arc<Node>);

impl Chore for DefinitionPoller {
    const NAME: &'static str = "definitions";
    const PLACES: [&'static str; 2] = ["definition_poller: started", "definition_poller: stopped"];

    async fn round(&mut self) -> Result<Duration, Error> {
        let node = &self.0;
        node.definitions.refresh(&node.store, &node.participants).await?;
        node.wakeups.hints.definitions(Duration::from_millis(limits::DEFINITIONS_REFRESH_MS)).await;
        Ok(Duration::ZERO)
    }
}
