//! Messages to a saga actor from its dispatcher and from the tasks that make its calls, and the actor's message to
//! its dispatcher.

use actix::Message;
use uuid::Uuid;

use crate::saga::event::Event;
use crate::store::Within;

/// Hint to read signals: there is a new one, or may be.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Wake;

/// Request to hand the saga back: calls in flight may end, nothing else begins.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct HandBack;

/// Request to give up the calls still in flight; their outcomes are unknown.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct AbortCalls;

/// Event of the saga, reported by the task that saw it.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct EventOccurred {
    pub(crate) event: Event,
    /// Transaction in which the event must be recorded.
    pub(crate) within: Option<Box<Within>>,
}

impl From<Event> for EventOccurred {
    fn from(event: Event) -> Self {
        Self { event, within: None }
    }
}

/// Notice that a saga actor has stopped.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Left {
    pub(crate) saga: Uuid,
    pub(crate) reason: ExitReason,
}

/// Reason why a saga left this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitReason {
    /// The saga has ended.
    Ended,
    /// The saga is parked, or was handed back.
    Released,
    /// Another lane owns the saga, or the saga never began.
    Fenced,
    /// The actor died, or the database rejected its row.
    Crashed,
}
