//! One lane's committer and dispatcher, which live and die together. Owns that: when one of them is gone the
//! other steps down, and the supervisor opens a new lane in place of the old one, which is never used again.

use std::sync::Arc;

use actix::prelude::*;

use super::committer::Committer;
use super::dispatcher::{Abandon, Dispatcher};
use super::node::Node;
use super::post::Post;
use super::roster::Roster;
use super::supervisor::{Observe, Observed};
use crate::boundary;
use crate::store::{Lane, NodeId};

/// One lane at work.
pub struct Worker {
    node: Arc<Node>,
    member: NodeId,
    committer: Addr<Committer>,
    dispatcher: Addr<Dispatcher>,
}

impl Worker {
    /// Opens a lane and puts its actors on an arbiter. `place` is its place in the roster, `slots` the most
    /// sagas it keeps.
    pub async fn begin(
        node: Arc<Node>,
        arbiter: ArbiterHandle,
        roster: Roster,
        place: usize,
        slots: usize,
    ) -> Result<Recipient<Observe>, String> {
        let (config, member) = (node.store.config().clone(), node.membership.id());
        // The connection lives on the runtime for calls, so that no actor holds it up.
        let opened = node.work.spawn(async move { Lane::open(&config, member).await }).await;
        let lane = opened.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let id = lane.id();
        let committer = {
            let node = node.clone();
            Committer::start_in_arbiter(&arbiter, move |_| Committer::new(node, lane))
        };
        let dispatcher = {
            let post = Post { node: node.clone(), lane: id, member, committer: committer.clone() };
            Dispatcher::start_in_arbiter(&arbiter, move |_| Dispatcher::new(post, slots))
        };
        boundary::pass("worker: started");
        roster.set(place, member, dispatcher.clone());
        let worker =
            Worker::start_in_arbiter(&arbiter, move |_| Worker { node, member, committer, dispatcher });
        Ok(worker.recipient())
    }
}

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Observe> for Worker {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, ctx: &mut Self::Context) -> Self::Result {
        let outlived = self.node.membership.id() != self.member;
        if outlived || !self.committer.connected() || !self.dispatcher.connected() {
            self.dispatcher.do_send(Abandon);
            self.committer.do_send(super::committer::StepAside);
            ctx.stop();
        }
        MessageResult(Observed::default())
    }
}
