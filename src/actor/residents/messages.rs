//! Messages to the actor of a saga from its dispatcher and from the tasks that make its calls, and what the actor tells
//! its dispatcher.

use actix::Message;
use uuid::Uuid;

use crate::saga::event::Event;
use crate::store::Within;

/// Look for signals: there is a new one, or may be.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Wake;

/// Hand the saga back: what is in flight may end, nothing else begins.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct HandBack;

/// Give up what is still in flight; its outcome is unknown.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct AbortCalls;

/// Something happened to the saga, told by the task that saw it.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct EventOccurred {
    pub(crate) event: Event,
    /// The transaction in which the event is to be recorded.
    pub(crate) within: Option<Box<Within>>,
}

impl From<Event> for EventOccurred {
    fn from(event: Event) -> Self {
        Self { event, within: None }
    }
}

/// A saga's actor has stopped.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Left {
    pub(crate) saga: Uuid,
    pub(crate) reason: ExitReason,
}

/// How a saga left this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitReason {
    /// It has ended.
    Ended,
    /// It is parked, or was handed back.
    Released,
    /// Another lane owns it, or it never began.
    Fenced,
    /// Its actor died.
    Crashed,
}
