//! One lane's committer and dispatcher, which live and die together. Owns that: when one of them is gone the
//! other steps down, the old lane is taken out of service, and the supervisor opens a new one in its place.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;

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

/// One lane at work.
pub struct LaneWorker {
    node: Arc<Node>,
    member: NodeId,
    lane: LaneId,
    committer: Addr<Committer>,
    dispatcher: Addr<Dispatcher>,
}

impl LaneWorker {
    /// Opens a lane and puts its actors on an arbiter. `place` is its place in the roster, `slots` the most
    /// sagas it keeps.
    pub async fn begin(
        node: Arc<Node>,
        arbiter: ArbiterHandle,
        router: LaneRouter,
        place: usize,
        slots: usize,
    ) -> Result<Recipient<Observe>, String> {
        let (config, member) = (node.store.config().clone(), node.lease.membership.id());
        // The connection lives where its actors do: a batch and its answer change no thread.
        let (lane, opened) = oneshot::channel();
        arbiter.spawn(async move {
            // Who asked may have given up; the lane then has no sagas, and its node's end is its own.
            let _ = lane.send(Lane::open(&config, member).await);
        });
        let opened = opened.await.map_err(|_| "the thread for its actors is gone".to_owned())?;
        let lane = opened.map_err(|error| error.to_string())?;
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
        router.set(place, member, dispatcher.clone());
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

/// Takes a lane that nobody serves any more out of service. Its node lives, so no sweep would, and what it owns would
/// be nobody's: as after a failover, where the lane met a promoted standby.
async fn retire(node: Arc<Node>, member: NodeId, lane: LaneId) {
    // Once the node is another, its lanes die with what it was.
    while node.lease.membership.id() == member {
        match node.store.retire(lane).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, lane = lane.0, "lane not taken out of service yet"),
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
