//! Messages between a lane's committer and those whose rows it writes. Replies go to a `Recipient`, so that the
//! committer knows no actor above it.

use actix::prelude::*;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::boundary::Aim;
use crate::store::{self, Claimed, DefinitionId, Parking, Transition, Written};

/// Write this row with the next batch.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Commit {
    pub(crate) row: Transition,
    pub(crate) aim: Aim,
    pub(crate) from: Recipient<Committed>,
}

/// Says whether a row was written.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Committed(pub(crate) Written);

/// The transaction of a row was rolled back: there is neither a row nor an effect.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct RolledBack(pub(crate) store::RolledBack);

/// Release this saga until its time or a signal comes.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Park {
    pub(crate) parking: Parking,
    pub(crate) from: Recipient<Released>,
}

/// Release this saga for any node to claim.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Release {
    pub(crate) saga: Uuid,
    pub(crate) from: Recipient<Released>,
}

/// Says whether the saga was released.
#[derive(Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) enum Released {
    /// It is parked, or any node may claim it.
    Yes,
    /// A signal came first, or its row is locked just now.
    No,
    /// The lane is fenced: it owns nothing.
    Fenced,
}

/// Claim up to `limit` sagas. The answer is empty when the claim failed; another will follow.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Claim {
    pub(crate) limit: usize,
    pub(crate) definitions: Vec<DefinitionId>,
    pub(crate) answer: oneshot::Sender<Vec<Claimed>>,
}

/// Answer when no row of this saga is under way: each is written or refused.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Flush {
    pub(crate) saga: Uuid,
    pub(crate) settled: oneshot::Sender<()>,
}

/// The lane is lost: stop at once and write nothing more.
#[derive(Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct LaneLost;
