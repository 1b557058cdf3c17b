//! Counts the sessions over HTTP, in total and by principal, and makes room for new ones. A session costs memory until
//! its client ends it or is silent for minutes, and many clients begin one for each call and end none. rmcp owns the
//! sessions themselves.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rmcp::transport::streamable_http_server::SessionId;
use rmcp::transport::streamable_http_server::session::SessionManager as _;
use rmcp_actix_web::transport::LocalSessionManager;

use crate::config::mcp::{SESSIONS_MAX, SESSIONS_OF_PRINCIPAL_MAX};

/// The sessions over HTTP.
#[derive(Debug)]
pub(super) struct Sessions {
    manager: Arc<LocalSessionManager>,
    open: Mutex<HashMap<SessionId, Open>>,
}

/// A session, or the place of one that begins.
#[derive(Debug)]
struct Open {
    principal: Arc<str>,
    used_at: Instant,
    /// Requests and streams of the session that are under way.
    in_use: usize,
    begins: bool,
}

/// The place of a session that begins. Dropping it frees the place.
#[derive(Debug)]
pub(super) struct Beginning {
    sessions: Arc<Sessions>,
    place: SessionId,
}

/// A session in use.
#[derive(Debug)]
pub(super) struct InUse {
    sessions: Arc<Sessions>,
    id: SessionId,
}

impl Sessions {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { manager: Arc::default(), open: Mutex::default() })
    }

    /// Returns rmcp's sessions.
    pub(super) fn manager(&self) -> Arc<LocalSessionManager> {
        Arc::clone(&self.manager)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<SessionId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks a session as in use, until the guard is dropped.
    pub(super) fn enter(self: &Arc<Self>, id: &str) -> InUse {
        let id: SessionId = id.into();
        if let Some(open) = self.open().get_mut(&id) {
            open.in_use += 1;
            open.used_at = Instant::now();
        }
        InUse { sessions: Arc::clone(self), id }
    }

    /// Makes room for a session of this principal; none if all that it may have are in use. The session that was not
    /// used for the longest time makes room: its client begins another when it needs one.
    pub(super) async fn begin(self: &Arc<Self>, principal: Arc<str>) -> Option<Beginning> {
        loop {
            // One lock after the other: rmcp's own is asynchronous.
            let alive: HashSet<SessionId> = self.manager.sessions.read().await.keys().cloned().collect();
            let victim = {
                let mut open = self.open();
                open.retain(|id, one| one.begins || alive.contains(id));
                match over_the_limit(&open, &principal) {
                    None => return Some(self.reserve(&mut open, principal)),
                    Some(of) => longest_unused(&open, &of)?,
                }
            };
            // An error means that its worker has ended already.
            let _ = self.manager.close_session(&victim).await;
            self.open().remove(&victim);
        }
    }

    fn reserve(self: &Arc<Self>, open: &mut HashMap<SessionId, Open>, principal: Arc<str>) -> Beginning {
        // No session of rmcp has such an id.
        let place: SessionId = format!("begins {}", uuid::Uuid::now_v7()).into();
        open.insert(place.clone(), Open { principal, used_at: Instant::now(), in_use: 1, begins: true });
        Beginning { sessions: Arc::clone(self), place }
    }
}

/// Returns the principal one of whose sessions must go before this one begins another; none if there is room.
fn over_the_limit(open: &HashMap<SessionId, Open>, principal: &Arc<str>) -> Option<Arc<str>> {
    let mut counts: HashMap<&Arc<str>, usize> = HashMap::new();
    for one in open.values() {
        *counts.entry(&one.principal).or_default() += 1;
    }
    if counts.get(principal).is_some_and(|own| *own >= SESSIONS_OF_PRINCIPAL_MAX) {
        return Some(Arc::clone(principal));
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(most, _)| Arc::clone(most));
    most.filter(|_| open.len() >= SESSIONS_MAX)
}

fn longest_unused(open: &HashMap<SessionId, Open>, principal: &Arc<str>) -> Option<SessionId> {
    let unused = open.iter().filter(|(_, one)| one.principal == *principal && one.in_use == 0);
    unused.min_by_key(|(_, one)| one.used_at).map(|(id, _)| id.clone())
}

impl Beginning {
    /// The session has begun under this id.
    pub(super) fn began(self, id: &str) {
        let mut open = self.sessions.open();
        if let Some(place) = open.remove(&self.place) {
            let begun = Open { used_at: Instant::now(), in_use: 0, begins: false, ..place };
            open.insert(id.into(), begun);
        }
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        self.sessions.open().remove(&self.place);
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(open) = self.sessions.open().get_mut(&self.id) {
            open.in_use = open.in_use.saturating_sub(1);
            open.used_at = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn begun(sessions: &Arc<Sessions>, principal: &str) -> Option<SessionId> {
        let beginning = sessions.begin(principal.into()).await?;
        let (id, _transport) = sessions.manager.create_session().await.unwrap();
        beginning.began(&id);
        Some(id)
    }

    #[tokio::test]
    async fn the_session_that_was_longest_unused_makes_room_and_one_in_use_never_does() {
        let sessions = Sessions::new();
        let first = begun(&sessions, "ada").await.unwrap();
        let in_use = sessions.enter(&first);
        for _ in 1..SESSIONS_OF_PRINCIPAL_MAX {
            begun(&sessions, "ada").await.unwrap();
        }
        let second = longest_unused(&sessions.open(), &"ada".into()).unwrap();
        begun(&sessions, "ada").await.unwrap();
        let alive = sessions.manager.sessions.read().await.len();
        assert_eq!((sessions.open().len(), alive), (SESSIONS_OF_PRINCIPAL_MAX, SESSIONS_OF_PRINCIPAL_MAX));
        assert!(sessions.open().contains_key(&first) && !sessions.open().contains_key(&second));
        drop(in_use);
        begun(&sessions, "ada").await.unwrap();
        assert!(begun(&sessions, "bob").await.is_some(), "another has its own");
        let ids: Vec<SessionId> = sessions.open().keys().cloned().collect();
        let all: Vec<InUse> = ids.iter().map(|id| sessions.enter(id)).collect();
        assert!(sessions.begin("ada".into()).await.is_none());
        drop(all);
        assert!(sessions.begin("ada".into()).await.is_some());
    }
}
