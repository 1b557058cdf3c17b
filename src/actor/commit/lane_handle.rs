//! A lane of this node, as its sagas see it. Owns whether their effects may begin.

use std::sync::Arc;

use actix::Addr;

use super::committer::Committer;
use crate::actor::node::context::Node;
use crate::store::{LaneId, NodeId};

/// Where a saga stands on this node.
pub(crate) struct LaneHandle {
    pub(crate) node: Arc<Node>,
    pub(crate) id: LaneId,
    /// The incarnation of this process to which the lane belongs.
    pub(crate) member: NodeId,
    pub(crate) committer: Addr<Committer>,
}

impl LaneHandle {
    /// Whether effects may begin: the lease is trusted, and it is still the lease of this lane, which is served. A
    /// process that was taken for dead joins again and is trusted anew, and a lane without a committer is taken out of
    /// service; what such lanes had is not theirs any more.
    pub(crate) fn may_begin(&self) -> bool {
        self.node.lease.clock.is_trusted()
            && self.node.lease.membership.id() == self.member
            && self.committer.connected()
    }
}
