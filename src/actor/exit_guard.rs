//! That a saga is on this node. Owns that the dispatcher is told when it is gone, however it goes.

use actix::Addr;
use uuid::Uuid;

use super::dispatcher::{Dispatcher, ExitReason, Left};
use crate::boundary;
use crate::metrics;

/// Tells the dispatcher when the actor is gone: a panic drops it too.
pub(super) struct ExitGuard {
    pub(super) id: Uuid,
    pub(super) dispatcher: Addr<Dispatcher>,
    pub(super) reason: ExitReason,
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
