//! What a dispatcher bids a saga of its lane do.

use actix::Message;

/// Look for signals: somebody asked something of the saga.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Wake;

/// Hand the saga back: what is in flight may end, nothing else begins.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct HandBack;

/// Give up what is still in flight; its outcome is unknown.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct AbortCalls;

/// Stop at once and write nothing more: the lane is gone.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct StepDown;
