//! The stop request to the keeper thread.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// Receiving end of the stop request. Dropping the sending end requests the stop.
#[derive(Debug)]
pub(super) struct Stop(Receiver<()>);

impl Stop {
    /// Wraps the receiving end of a channel.
    pub(super) fn new(asked: Receiver<()>) -> Self {
        Self(asked)
    }

    /// Waits for `pause`. Returns true as soon as a stop is requested, else false.
    pub(super) fn asked_within(&self, pause: Duration) -> bool {
        !matches!(self.0.recv_timeout(pause), Err(RecvTimeoutError::Timeout))
    }
}
