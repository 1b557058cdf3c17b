//! Drop guard: tells the dispatcher when a saga actor stops, even by a panic.

use actix::Recipient;
use uuid::Uuid;

use super::messages::{ExitReason, Left};
use crate::boundary;
use crate::metrics;

/// Guard that tells the dispatcher when it is dropped with its actor.
pub(crate) struct ExitGuard {
    pub(crate) id: Uuid,
    pub(crate) dispatcher: Recipient<Left>,
    pub(crate) reason: ExitReason,
}

impl Drop for ExitGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            metrics::PANICS.with(["actor".into()]).increment(1);
        }
        boundary::pass("saga: stopped");
        self.dispatcher.do_send(Left { saga: self.id, reason: self.reason });
    }
}
