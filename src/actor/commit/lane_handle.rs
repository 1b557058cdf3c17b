//! A lane of this node, as its sagas see it. Owns whether their effects may begin.

use std::sync::Arc;

use actix::Addr;

use super::committer::Committer;
use crate::actor::node::context::Node;
use crate::store::{LaneId, NodeId};

/// Handle to the lane that owns a saga.
pub(crate) struct LaneHandle {
    pub(crate) node: Arc<Node>,
    pub(crate) id: LaneId,
    /// Incarnation of this process that owns the lane.
    pub(crate) member: NodeId,
    pub(crate) committer: Addr<Committer>,
}

impl LaneHandle {
    /// Whether effects may begin. The node must trust its lease, the lease must still be that of this lane, and the
    /// lane must have its committer. A process that was declared dead joins again and trusts a new lease. A lane
    /// without a committer is taken out of service. In both cases the lane no longer owns its sagas.
    pub(crate) fn may_begin(&self) -> bool {
        self.node.lease.clock.is_trusted()
            && self.node.lease.membership.id() == self.member
            && self.committer.connected()
    }
}
