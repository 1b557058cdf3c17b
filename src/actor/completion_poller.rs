//! Tells callers of ends that this process did not see, because another node ran the saga. Owns the rhythm: one look
//! for all who wait, however many; who waits is kept in `waiters.rs`.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::node::Node;
use super::supervisor::{Observe, Observed};
use crate::boundary;
use crate::config::actor as limits;

/// Looks for ends that were seen elsewhere.
pub struct CompletionPoller {
    node: Arc<Node>,
}

impl CompletionPoller {
    /// Looks for the callers of this node.
    pub fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let overdue = self.node.waiters.overdue();
        let node = self.node.clone();
        let look = async move {
            for sagas in overdue.chunks(limits::ENDS_READ_MAX) {
                match node.store.ended(sagas).await {
                    Ok(ends) => ends.into_iter().for_each(|(saga, end)| match end {
                        Some((status, result)) => node.waiters.tell(saga, &super::Ended { status, result }),
                        None => node.waiters.release_unknown(saga),
                    }),
                    Err(error) => tracing::warn!(%error, "ends of sagas that callers wait for not read"),
                }
            }
        };
        ctx.spawn(look.into_actor(self).map(|(), _, ctx| {
            ctx.run_later(Duration::from_millis(limits::ENDS_POLL_MS), Self::look);
        }));
    }
}

impl Actor for CompletionPoller {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        boundary::pass("completion_poller: started");
        self.look(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        boundary::pass("completion_poller: stopped");
    }
}

impl Handler<Observe> for CompletionPoller {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(Observed::default())
    }
}
