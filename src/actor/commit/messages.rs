//! Messages between a lane's committer and the actors that use the lane. Replies go to a `Recipient`, so that the
//! committer depends on no actor above it.

use actix::prelude::*;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::boundary::Aim;
use crate::store::{self, DefinitionId, Found, Parking, Sources, Transition, Written};

/// Request to write this row with the next batch.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Commit {
    pub(crate) row: Transition,
    pub(crate) aim: Aim,
    pub(crate) from: Recipient<Committed>,
}

/// Answer: what became of a row.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Committed(pub(crate) Written);

/// Answer: the transaction of a row was rolled back. There is neither a row nor an effect, unless the handler had
/// ended the transaction.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct RolledBack(pub(crate) store::RolledBack);

/// Request to release this saga until its time or a signal comes.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Park {
    pub(crate) parking: Parking,
    pub(crate) from: Recipient<Released>,
}

/// Request to release this saga for any node to claim.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Release {
    pub(crate) saga: Uuid,
    pub(crate) from: Recipient<Released>,
}

/// Answer: whether the saga was released.
#[derive(Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) enum Released {
    /// The saga is parked, or any node may claim it.
    Yes,
    /// The lane still owns the saga: a signal came first, the row is locked just now, or the database failed.
    No,
    /// The lane is fenced: it owns nothing.
    Fenced,
}

/// Request to claim up to `limit` sagas. If the claim fails, the channel closes without an answer, and the dispatcher
/// asks again later. `check`: also finds out whether the lane is in service, if there is nothing to claim.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Claim {
    pub(crate) limit: usize,
    pub(crate) sources: Sources,
    pub(crate) definitions: Vec<DefinitionId>,
    pub(crate) check: bool,
    pub(crate) answer: oneshot::Sender<Found>,
}

/// Request for an answer once no row of this saga is under way: each is written or refused.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Flush {
    pub(crate) saga: Uuid,
    pub(crate) settled: oneshot::Sender<()>,
}

/// Notice that the lane is lost: stop at once and write nothing more.
#[derive(Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct LaneLost;
