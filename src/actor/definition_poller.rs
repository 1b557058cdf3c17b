//! Reads the definitions that others have registered since. Owns the rhythm; the registry is
//! `definitions.rs`.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::node::Node;
use super::supervisor::{Observe, Observed};
use crate::boundary;
use crate::config::actor as limits;

/// Keeps the registry up to date.
pub struct DefinitionPoller {
    node: Arc<Node>,
}

impl DefinitionPoller {
    /// Reads for this node.
    pub fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    fn read(&mut self, ctx: &mut Context<Self>) {
        let node = self.node.clone();
        let read = async move {
            if let Err(error) = node.definitions.refresh(&node.store, &node.participants).await {
                tracing::warn!(%error, "definitions not read");
            }
        };
        ctx.spawn(read.into_actor(self).map(|(), _, ctx| {
            ctx.run_later(Duration::from_millis(limits::DEFINITIONS_REFRESH_MS), Self::read);
        }));
    }
}

impl Actor for DefinitionPoller {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        boundary::pass("definition_poller: started");
        self.read(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        boundary::pass("definition_poller: stopped");
    }
}

impl Handler<Observe> for DefinitionPoller {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(Observed::default())
    }
}
