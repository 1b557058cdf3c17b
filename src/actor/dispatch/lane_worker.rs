//! One lane's committer and dispatcher, which live and die together. When one of them is gone, the worker stops the
//! other and takes the lane out of service. The supervisor then opens a new lane in its place.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::dispatcher::Dispatcher;
use super::lane_router::LaneRouter;
use crate::actor::commit::committer::Committer;
use crate::actor::commit::lane_handle::LaneHandle;
use crate::actor::commit::messages::LaneLost;
use crate::actor::node::context::Node;
use crate::actor::node::supervisor::Observe;
use crate::boundary;
use crate::config::actor as limits;
use crate::store::{Lane, LaneId, NodeId};

/// Lane at work.
pub struct LaneWorker {
    node: Arc<Node>,
    member: NodeId,
    lane: LaneId,
    committer: Addr<Committer>,
    dispatcher: Addr<Dispatcher>,
}

impl LaneWorker {
    /// Registers a lane and starts its actors on an arbiter. The lane's connection lives on the thread of its actors,
    /// so a batch and its answer do not change threads. `place` is its place in the router, and `slots` the most
    /// sagas that it runs.
    pub async fn begin(
        node: Arc<Node>,
        arbiter: ArbiterHandle,
        router: LaneRouter,
        place: usize,
        slots: usize,
    ) -> Result<Recipient<Observe>, String> {
        let member = node.lease.membership.id();
        let lane = Lane::register(&node.store, member, node.watermarks.clone()).await;
        let lane = lane.map_err(|error| error.to_string())?;
        let id = lane.id();
        let committer = {
            let node = node.clone();
            Committer::start_in_arbiter(&arbiter, move |_| Committer::new(node, lane))
        };
        let dispatcher = {
            let (node, committer) = (node.clone(), committer.clone());
            let handle = Arc::new(LaneHandle { node, id, member, committer });
            Dispatcher::start_in_arbiter(&arbiter, move |_| Dispatcher::new(handle, slots))
        };
        router.set(place, member, id, dispatcher.clone());
        let worker = LaneWorker::start_in_arbiter(&arbiter, move |_| LaneWorker {
            node,
            member,
            lane: id,
            committer,
            dispatcher,
        });
        Ok(worker.recipient())
    }
}

/// Takes a lane without actors out of service. Its node is alive, so no sweep does this, and no node could claim what
/// the lane owns. This happens after a failover, for example, when the lane meets a promoted standby.
async fn retire(node: Arc<Node>, member: NodeId, lane: LaneId) {
    // Once the process has joined again, its earlier lanes are dead.
    while node.lease.membership.id() == member {
        match node.store.retire(lane).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, lane = lane.0, "could not take the lane out of service; retrying"),
        }
        tokio::time::sleep(Duration::from_millis(limits::RESEND_PAUSE_MAX_MS)).await;
    }
}

impl Actor for LaneWorker {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        boundary::pass("lane_worker: started");
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        boundary::pass("lane_worker: stopped");
    }
}

impl Handler<Observe> for LaneWorker {
    type Result = ();

    fn handle(&mut self, _: Observe, ctx: &mut Self::Context) {
        let outlived = self.node.lease.membership.id() != self.member;
        if outlived || !self.committer.connected() || !self.dispatcher.connected() {
            self.dispatcher.do_send(LaneLost);
            self.committer.do_send(LaneLost);
            actix::spawn(retire(self.node.clone(), self.member, self.lane));
            ctx.stop();
        }
    }
}
