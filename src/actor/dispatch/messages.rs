//! Messages to the dispatcher of a lane.

use std::sync::Arc;
use std::time::Duration;

use actix::Message;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::actor::node::definitions::Pinned;
use crate::actor::residents::arrival::StartOutcome;
use crate::saga::rerun::Rerun;
use crate::saga::{Asker, Json};
use crate::store::{Sources, StartKey};

/// Request to start a saga here.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct StartSaga {
    pub(crate) id: Uuid,
    pub(crate) pinned: Pinned,
    pub(crate) input: Json,
    pub(crate) key: Option<StartKey>,
    pub(crate) rerun: Option<Box<Rerun>>,
    pub(crate) traceparent: Option<Arc<str>>,
    /// Who starts it. None: it has no starter on record.
    pub(crate) starter: Option<Asker>,
    pub(crate) answer: oneshot::Sender<StartOutcome>,
}

/// Hint to read the signals of these sagas, if they are here.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Poke(pub(crate) Vec<Uuid>);

/// The sagas that the lane owns, as the database says.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Owned(pub(crate) Vec<Uuid>);

/// Hint that there is something to do: do not wait for the next round.
#[derive(Clone, Copy, Debug, Default, Message)]
#[rtype(result = "()")]
pub(crate) struct Hint {
    /// There may be sagas to claim.
    pub(crate) claim: Sources,
    /// There may be wakes in the lane's inbox.
    pub(crate) inbox: bool,
    /// The lane may be out of service.
    pub(crate) check: bool,
}

impl Hint {
    /// There may be anything.
    pub(crate) const EVERYTHING: Self = Self { claim: Sources::ALL, inbox: true, check: true };

    /// Returns this hint and another one together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { claim: self.claim.and(other.claim), inbox: self.inbox || other.inbox, check: self.check || other.check }
    }

    /// Whether the hint hints at nothing.
    pub(crate) fn is_empty(self) -> bool {
        !self.claim.any() && !self.inbox && !self.check
    }
}

/// Request to claim no more and to hand all sagas back. Answered when none is left.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Drain {
    pub(crate) grace: Duration,
    pub(crate) done: oneshot::Sender<()>,
}
