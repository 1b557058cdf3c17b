//! Idle sessions for handlers' transactions, and the limit on such transactions.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::session::Session;
use crate::config::store as limits;
use crate::metrics;
use crate::place::Places;

/// Idle sessions, and the places for transactions.
pub(super) struct IdleSessions {
    /// With the time of its last use.
    sessions: Mutex<Vec<(Instant, Session)>>,
    pub(super) places: Places,
}

impl Default for IdleSessions {
    fn default() -> Self {
        let waiting = || metrics::PLACES_WAITING.with(["transaction".into()]);
        Self { sessions: Mutex::default(), places: Places::new(limits::TRANSACTIONS_MAX, waiting) }
    }
}

impl IdleSessions {
    pub(super) fn take(&self) -> Option<Session> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).pop().map(|(_, session)| session)
    }

    pub(super) fn put(&self, session: Session) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), session));
    }

    /// Closes the sessions that nothing has used for `idle`.
    pub(super) fn close_idle(&self, idle: Duration) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|(used_at, _)| used_at.elapsed() < idle);
    }
}
