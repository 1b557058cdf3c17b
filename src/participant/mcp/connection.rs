//! The connection to one MCP server. Owns its life: opened by the first call and shared by all, watched,
//! closed when it hangs or breaks, and opened again with growing pauses. A call that is dropped changes
//! nothing here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until, timeout};

use super::answer;
use super::post::Greeting;
use super::raw::Heard;
use super::session::{self, Server, Session};
use crate::config::participant::{
    CHILD_GRACE, HANDSHAKE_TIMEOUT, PING_TIMEOUT, RESTART_BACKOFF, RESTART_BACKOFF_MAX, RESTART_WAIT_MAX,
};
use crate::participant::http::Progress;
use crate::participant::reply::Reply;
use crate::participant::rule::DefaultRule as Rule;
use crate::participant::secret::Filter;

/// The connection to one MCP server, open or not.
pub(in crate::participant) struct Link {
    name: String,
    server: Server,
    filter: Filter,
    runtime: Handle,
    state: Mutex<State>,
}

type Opening = Shared<BoxFuture<'static, Result<Arc<Session>, String>>>;

enum State {
    /// Not connected; how often that failed in a row, and when it may be tried again.
    Closed { failures: u32, not_before: Instant },
    /// Being connected, by a task of its own.
    Opening(Opening, Arc<Greeting>),
    /// Connected.
    Open(Arc<Session>),
    /// Never again.
    ShutDown,
}

impl Link {
    pub(in crate::participant) fn new(name: String, server: Server, filter: Filter, runtime: Handle) -> Arc<Self> {
        let state = Mutex::new(State::Closed { failures: 0, not_before: Instant::now() });
        Arc::new(Self { name, server, filter, runtime, state })
    }

    /// Returns what cuts this server's secrets out of its words.
    pub(super) fn filter(&self) -> &Filter {
        &self.filter
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what watches the connections that a call opens until `deadline`; none where it opens none.
    pub(super) fn progress(&self, deadline: Instant) -> Option<Arc<Progress>> {
        match &self.server {
            Server::Child(_) => None,
            Server::Http { .. } => Some(Progress::until(deadline)),
        }
    }

    /// Returns the connection if it is open.
    pub(super) fn open_session(&self) -> Option<Arc<Session>> {
        match &*self.state() {
            State::Open(session) => Some(Arc::clone(session)),
            State::Closed { .. } | State::Opening(..) | State::ShutDown => None,
        }
    }

    /// Returns the open connection, or opens one. An error means that nothing was sent.
    pub(super) async fn session(self: &Arc<Self>) -> Result<Arc<Session>, Reply> {
        let (opening, greeting) = {
            let mut state = self.state();
            if let State::Open(session) = &*state
                && !session.is_alive()
            {
                *state = closed_after(session);
            }
            match &*state {
                State::Open(session) => return Ok(Arc::clone(session)),
                State::ShutDown => return Err(Reply::of(Rule::Refused, "the runtime is shutting down")),
                State::Opening(opening, greeting) => (opening.clone(), Arc::clone(greeting)),
                State::Closed { failures, not_before } => {
                    let pause = not_before.saturating_duration_since(Instant::now());
                    if pause > RESTART_WAIT_MAX {
                        let message = format!("the server failed {failures} times in a row; it is tried again later");
                        return Err(Reply::of(Rule::Refused, message).after(Some(pause)));
                    }
                    let greeting = Greeting::until((*not_before).max(Instant::now()) + HANDSHAKE_TIMEOUT);
                    let opening = self.opening(*failures, *not_before, &greeting);
                    *state = State::Opening(opening.clone(), Arc::clone(&greeting));
                    (opening, greeting)
                }
            }
        };
        opening.await.map_err(|message| greeting.failed(message))
    }

    /// What is known of a call that got no connection within its time: nothing was sent.
    pub(super) fn unready(&self) -> Reply {
        let unresolved = match &*self.state() {
            State::Opening(_, greeting) => greeting.unresolved(),
            State::Closed { .. } | State::Open(_) | State::ShutDown => None,
        };
        unresolved.unwrap_or_else(|| {
            let message = "the server was not ready within the time of an attempt; nothing was sent";
            Reply::of(Rule::Refused, message)
        })
    }

    /// Opens a connection in a task of its own: callers may give up on it without ending it.
    fn opening(self: &Arc<Self>, failures: u32, not_before: Instant, greeting: &Arc<Greeting>) -> Opening {
        let (link, greeting) = (Arc::clone(self), Arc::clone(greeting));
        let task = self.runtime.spawn(async move {
            sleep_until(not_before).await;
            let opening = session::open(&link.name, &link.server, &link.filter, &greeting);
            let opened = timeout(HANDSHAKE_TIMEOUT, opening).await;
            let late = |_| Err(format!("no handshake within {} s", HANDSHAKE_TIMEOUT.as_secs()));
            link.opened(opened.unwrap_or_else(late), failures)
        });
        let lost = |error| Err(format!("the connection's task ended: {error}"));
        let link = Arc::clone(self);
        // A task that ended without a word (its runtime shut down) must not leave the link waiting for it for
        // ever.
        let joined = task.map(move |joined| joined.unwrap_or_else(|error| link.opened(lost(error), failures)));
        joined.boxed().shared()
    }

    fn opened(&self, result: Result<Arc<Session>, String>, failures: u32) -> Result<Arc<Session>, String> {
        let result = result.map_err(|message| self.filter.clean(message));
        let mut state = self.state();
        if matches!(*state, State::ShutDown) {
            return Err("the runtime is shutting down".into());
        }
        match &result {
            Ok(session) => {
                tracing::info!(participant = self.name, "connected to participant");
                *state = State::Open(Arc::clone(session));
            }
            Err(message) => {
                tracing::warn!(participant = self.name, failures = failures + 1, message, "cannot reach participant");
                *state = closed(failures + 1);
            }
        }
        result
    }

    /// Lets go of a connection that failed, so that the next call opens another.
    pub(super) fn retire(&self, session: &Arc<Session>) {
        let mut state = self.state();
        if matches!(&*state, State::Open(open) if Arc::ptr_eq(open, session)) {
            *state = closed_after(session);
        }
    }

    /// Finds out whether a server that let a call time out is still there. A child that is not is ended; a session over
    /// HTTP whose server does not answer what it must is let go of.
    pub(super) fn suspect(self: &Arc<Self>, session: &Arc<Session>) {
        if !session.begin_suspicion() {
            return;
        }
        let (link, session) = (Arc::clone(self), Arc::clone(session));
        self.runtime.spawn(async move {
            match &link.server {
                Server::Child(_) if session.hangs().await => {
                    tracing::warn!(participant = link.name, "participant hangs; its process is ended");
                    link.retire(&session);
                    session.stop();
                }
                Server::Child(_) => {}
                Server::Http { .. } => {
                    let checked = timeout(PING_TIMEOUT, session.check()).await;
                    if !checked.is_ok_and(|answer| answer.is_ok_and(|heard| answer::knows_session(&heard))) {
                        tracing::info!(participant = link.name, "the session does not answer; a new one is made");
                        link.retire(&session);
                    }
                    session.end_suspicion();
                }
            }
        });
    }

    /// Whether the server still knows a session. One that leaves the question open may just be busy.
    pub(super) async fn knows(&self, session: &Session) -> bool {
        match timeout(PING_TIMEOUT, session.check()).await {
            Ok(Ok(heard)) => answer::knows_session(&heard),
            Ok(Err(_)) => false,
            Err(_) => true,
        }
    }

    /// Finds out whether it was the session that a server refused, so that nothing was carried out: a check in the same
    /// session is refused alike, and one in a new session is not. A session that is refused is let go of in any case.
    pub(super) async fn refused_session(self: &Arc<Self>, session: &Arc<Session>, refusal: &Heard) -> bool {
        let alike = match timeout(PING_TIMEOUT, session.check()).await {
            Ok(Ok(heard)) if heard.is_like(refusal) => true,
            Ok(Ok(heard)) if answer::knows_session(&heard) => return false,
            Ok(Ok(_) | Err(_)) | Err(_) => false,
        };
        tracing::info!(participant = self.name, "the server refuses the session; a new one is made");
        self.retire(session);
        if !alike {
            return false;
        }
        let Ok(new) = self.session().await else { return false };
        match timeout(PING_TIMEOUT, new.check()).await {
            Ok(Ok(heard)) => answer::knows_session(&heard) && !heard.is_like(refusal),
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Closes the connection for good and waits for its end.
    pub(super) async fn shutdown(&self) {
        let last = std::mem::replace(&mut *self.state(), State::ShutDown);
        let session = match last {
            State::Open(session) => session,
            State::Opening(opening, _) => match timeout(CHILD_GRACE, opening).await {
                Ok(Ok(session)) => session,
                Ok(Err(_)) | Err(_) => return,
            },
            State::Closed { .. } | State::ShutDown => return,
        };
        session.stop();
        // Closed input, SIGTERM, SIGKILL: each has its grace.
        let _ = timeout(CHILD_GRACE * 3, session.ending()).await;
    }
}

/// The state after a number of failures in a row.
fn closed(failures: u32) -> State {
    let pause = match failures {
        0 | 1 => Duration::ZERO,
        more => RESTART_BACKOFF.saturating_mul(1_u32.checked_shl(more - 2).unwrap_or(u32::MAX)),
    };
    State::Closed { failures, not_before: Instant::now() + pause.min(RESTART_BACKOFF_MAX) }
}

/// The state after a session's end: one that answered is replaced at once, one that never did counts as a
/// failure.
fn closed_after(session: &Session) -> State {
    closed(if session.has_answered() { 0 } else { 2 })
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;
    use crate::participant::config::install_crypto;
    use crate::participant::http;

    #[test]
    fn a_call_whose_time_is_over_says_that_the_name_did_not_resolve() {
        install_crypto();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (before, looked_up) = runtime.block_on(async {
            let client = http::client_without_names().unwrap();
            let server =
                Server::Http { url: "http://name/".into(), headers: HeaderMap::new(), client, concurrency_max: 1 };
            let link = Link::new("it".into(), server, Filter::default(), Handle::current());
            let before = link.unready().rule;
            let opener = Arc::clone(&link);
            let _opening = tokio::spawn(async move { opener.session().await.map(drop) });
            let looked_up = async {
                while link.unready().rule != Rule::Unresolved {
                    tokio::task::yield_now().await;
                }
            };
            (before, timeout(Duration::from_secs(30), looked_up).await)
        });
        runtime.shutdown_background();
        assert_eq!((before, looked_up), (Rule::Refused, Ok(())));
    }
}
