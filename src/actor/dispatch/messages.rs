//! Messages to the dispatcher of a lane.

use std::sync::Arc;
use std::time::Duration;

use actix::Message;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::actor::node::definitions::Pinned;
use crate::actor::residents::arrival::StartOutcome;
use crate::saga::Json;
use crate::saga::rerun::Rerun;
use crate::store::StartKey;

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
    pub(crate) answer: oneshot::Sender<StartOutcome>,
}

/// Hint to read the signals of these sagas, if they are here.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Poke(pub(crate) Vec<Uuid>);

/// Hint that there is something to claim: do not wait for the next round.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Look;

/// Request to claim no more and to hand all sagas back. Answered when none is left.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Drain {
    pub(crate) grace: Duration,
    pub(crate) done: oneshot::Sender<()>,
}
