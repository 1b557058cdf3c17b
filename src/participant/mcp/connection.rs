//! The connection to one MCP server. The first call opens it, and all calls share it. It is closed when the server
//! hangs or the connection breaks, and opened again after growing pauses. Dropping a call does not change it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until, timeout};

use super::answer;
use super::post::Greeting;
use super::raw::Heard;
use super::session::{self, NotOpened, Server, Session};
use crate::config::participant::{
    CHILD_GRACE, HANDSHAKE_TIMEOUT, PING_TIMEOUT, RESTART_BACKOFF, RESTART_BACKOFF_MAX, RESTART_WAIT_MAX,
};
use crate::participant::default_rules::DefaultRule as Rule;
use crate::participant::http::{self, Progress};
use crate::participant::reply::Reply;
use crate::participant::secret::Filter;

/// The connection to one MCP server, open or not.
pub(in crate::participant) struct Link {
    name: String,
    server: Server,
    filter: Filter,
    runtime: Handle,
    state: Mutex<State>,
}

type Opening = Shared<BoxFuture<'static, Result<Arc<Session>, NotOpened>>>;

enum State {
    /// Not connected: the number of failures in a row, and the time of the next try.
    Closed { failures: u32, not_before: Instant },
    /// A task is opening the connection.
    Opening(Opening, Arc<Greeting>),
    /// Connected.
    Open(Arc<Session>),
    /// Closed for good.
    ShutDown,
}

impl Link {
    pub(in crate::participant) fn new(name: String, server: Server, filter: Filter, runtime: Handle) -> Arc<Self> {
        let state = Mutex::new(State::Closed { failures: 0, not_before: Instant::now() });
        Arc::new(Self { name, server, filter, runtime, state })
    }

    /// Returns the filter that removes this server's secrets.
    pub(super) fn filter(&self) -> &Filter {
        &self.filter
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a record for the progress of a connection that a call opens before `deadline`. None for a child
    /// process: a call opens no connection to it.
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
                State::ShutDown => return Err(Reply::new(Rule::Refused, "the runtime is shutting down")),
                State::Opening(opening, greeting) => (opening.clone(), Arc::clone(greeting)),
                State::Closed { failures, not_before } => {
                    let pause = not_before.saturating_duration_since(Instant::now());
                    if pause > RESTART_WAIT_MAX {
                        let message = format!("the server failed {failures} times in a row; it is tried again later");
                        return Err(Reply::new(Rule::Refused, message).after(Some(pause)));
                    }
                    let greeting = Greeting::until((*not_before).max(Instant::now()) + HANDSHAKE_TIMEOUT);
                    let opening = self.opening(*failures, *not_before, &greeting);
                    *state = State::Opening(opening.clone(), Arc::clone(&greeting));
                    (opening, greeting)
                }
            }
        };
        opening.await.map_err(|not_opened| match not_opened {
            NotOpened::OutOfFiles => http::out_of_files(),
            NotOpened::Said(message) => greeting.failed(message),
        })
    }

    /// Makes the reply for a call that got no connection within its time: nothing was sent.
    pub(super) fn unready(&self) -> Reply {
        let unresolved = match &*self.state() {
            State::Opening(_, greeting) => greeting.unresolved(),
            State::Closed { .. } | State::Open(_) | State::ShutDown => None,
        };
        unresolved.unwrap_or_else(|| {
            let message = "the server was not ready within the time of an attempt; nothing was sent";
            Reply::new(Rule::Refused, message)
        })
    }

    /// Starts a task that opens a connection. The task goes on if its callers give up.
    fn opening(self: &Arc<Self>, failures: u32, not_before: Instant, greeting: &Arc<Greeting>) -> Opening {
        let (link, greeting) = (Arc::clone(self), Arc::clone(greeting));
        let task = self.runtime.spawn(async move {
            sleep_until(not_before).await;
            let opening = session::open(&link.name, &link.server, &link.filter, &greeting);
            let opened = timeout(HANDSHAKE_TIMEOUT, opening).await;
            let late = |_| Err(NotOpened::Said(format!("no handshake within {} s", HANDSHAKE_TIMEOUT.as_secs())));
            link.opened(opened.unwrap_or_else(late), failures)
        });
        let lost = |error| Err(NotOpened::Said(format!("the connection's task ended: {error}")));
        let link = Arc::clone(self);
        // A task that ended without a result (its runtime shut down) must not leave the link in `Opening` for ever.
        let joined = task.map(move |joined| joined.unwrap_or_else(|error| link.opened(lost(error), failures)));
        joined.boxed().shared()
    }

    fn opened(&self, result: Result<Arc<Session>, NotOpened>, failures: u32) -> Result<Arc<Session>, NotOpened> {
        let result = result.map_err(|error| match error {
            NotOpened::Said(message) => NotOpened::Said(self.filter.clean(message)),
            NotOpened::OutOfFiles => NotOpened::OutOfFiles,
        });
        let mut state = self.state();
        if matches!(*state, State::ShutDown) {
            return Err(NotOpened::Said("the runtime is shutting down".into()));
        }
        match &result {
            Ok(session) => {
                tracing::info!(participant = self.name, "connected to participant");
                *state = State::Open(Arc::clone(session));
            }
            // The server has not failed: this node could not even begin.
            Err(NotOpened::OutOfFiles) => *state = closed(failures),
            Err(NotOpened::Said(message)) => {
                tracing::warn!(participant = self.name, failures = failures + 1, message, "cannot reach participant");
                *state = closed(failures + 1);
            }
        }
        result
    }

    /// Drops a connection that failed, so that the next call opens another.
    pub(super) fn retire(&self, session: &Arc<Session>) {
        let mut state = self.state();
        if matches!(&*state, State::Open(open) if Arc::ptr_eq(open, session)) {
            *state = closed_after(session);
        }
    }

    /// Checks a server that let a call time out. Ends a child process that hangs. Drops an HTTP session if the server
    /// does not answer the check.
    pub(super) fn suspect(self: &Arc<Self>, session: &Arc<Session>) {
        if !session.begin_suspicion() {
            return;
        }
        let (link, session) = (Arc::clone(self), Arc::clone(session));
        self.runtime.spawn(async move {
            match &link.server {
                Server::Child(_) if session.hangs().await => {
                    tracing::warn!(participant = link.name, "participant hangs; ending its process");
                    link.retire(&session);
                    session.stop();
                }
                Server::Child(_) => {}
                Server::Http { .. } => {
                    let checked = timeout(PING_TIMEOUT, session.check()).await;
                    if !checked.is_ok_and(|answer| answer.is_ok_and(|heard| answer::knows_session(&heard))) {
                        tracing::info!(participant = link.name, "the session does not answer; it is dropped");
                        link.retire(&session);
                    }
                    session.end_suspicion();
                }
            }
        });
    }

    /// Whether the server still knows a session. A server that does not answer in time may just be busy, so it counts
    /// as knowing it.
    pub(super) async fn knows(&self, session: &Session) -> bool {
        match timeout(PING_TIMEOUT, session.check()).await {
            Ok(Ok(heard)) => answer::knows_session(&heard),
            Ok(Err(_)) => false,
            Err(_) => true,
        }
    }

    /// Finds out whether the server refused the session rather than the call, so that nothing was carried out. That
    /// is so if the server refuses a check in the same session alike, and answers a check in a new session. Drops the
    /// session unless the first check shows that the server knows it.
    pub(super) async fn refused_session(self: &Arc<Self>, session: &Arc<Session>, refusal: &Heard) -> bool {
        let alike = match timeout(PING_TIMEOUT, session.check()).await {
            Ok(Ok(heard)) if heard.is_like(refusal) => true,
            Ok(Ok(heard)) if answer::knows_session(&heard) => return false,
            Ok(Ok(_) | Err(_)) | Err(_) => false,
        };
        tracing::info!(participant = self.name, "the server refuses the session; it is dropped");
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
        // Closed input, SIGTERM and SIGKILL each have their grace.
        let _ = timeout(CHILD_GRACE * 3, session.ending()).await;
    }
}

/// Returns the state after a number of failures in a row.
fn closed(failures: u32) -> State {
    let pause = match failures {
        0 | 1 => Duration::ZERO,
        more => RESTART_BACKOFF.saturating_mul(1_u32.checked_shl(more - 2).unwrap_or(u32::MAX)),
    };
    State::Closed { failures, not_before: Instant::now() + pause.min(RESTART_BACKOFF_MAX) }
}

/// Returns the state after a session's end. A session that answered is replaced at once. One that never answered
/// counts as two failures, so a pause follows.
fn closed_after(session: &Session) -> State {
    closed(if session.has_answered() { 0 } else { 2 })
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;
    use crate::participant::config::install_crypto;

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
