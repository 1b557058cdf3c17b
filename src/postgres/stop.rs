//! The word by which the thread that keeps a cluster is asked to end.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// The keeper's end of it. The other end is dropped to ask.
#[derive(Debug)]
pub(super) struct Stop(Receiver<()>);

impl Stop {
    /// Listens on a channel.
    pub(super) fn new(asked: Receiver<()>) -> Self {
        Self(asked)
    }

    /// Waits, and returns early with true when the end is asked for.
    pub(super) fn asked_within(&self, pause: Duration) -> bool {
        !matches!(self.0.recv_timeout(pause), Err(RecvTimeoutError::Timeout))
    }
}
