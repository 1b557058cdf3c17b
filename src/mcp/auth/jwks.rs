//! The keys of an authorization server (JWKS). Owns when they are read: by one request at a time, which no caller with
//! a known key waits for. Leaves what a key is good for to `jwt.rs`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::catalog::is_secure_url;
use crate::config::mcp as limits;

/// The keys of one authorization server.
#[derive(Debug)]
pub(super) struct Jwks(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    url: String,
    state: Mutex<State>,
    /// Changes when a read has ended.
    ended: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<Arc<Keys>>,
    /// Time of the last successful read.
    read_at: Option<Instant>,
    /// Earliest time of the next read.
    next_at: Option<Instant>,
    is_reading: bool,
    has_failed: bool,
}

/// Keys, as one read found them.
#[derive(Debug)]
pub(super) struct Keys {
    /// Number of the read.
    number: u64,
    pub(super) all: Vec<Jwk>,
}

/// What became of the wish for newer keys.
#[derive(Debug)]
pub(super) enum Newer {
    /// They were read after those that the caller knows.
    Keys(Arc<Keys>),
    /// The caller knows the newest: the server was asked a moment ago.
    Known,
    /// The server does not answer.
    Unavailable,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl Jwks {
    pub(super) fn new(url: String) -> Self {
        let state = Mutex::default();
        Self(Arc::new(Shared { http: direct(), url, state, ended: watch::Sender::default() }))
    }

    /// Returns the keys, without a wait; none if there are none yet, or if they are too old to be used. Reads old keys
    /// again in the background.
    pub(super) fn held(&self, work: &Handle) -> Option<Arc<Keys>> {
        let mut state = self.0.state();
        let age = state.read_at.map(|at| at.elapsed())?;
        if age >= Duration::from_secs(limits::KEYS_AGE_S_MAX) {
            state.keys = None;
        } else if age >= Duration::from_secs(limits::KEYS_FRESH_S) {
            self.begin(&mut state, work);
        }
        state.keys.clone()
    }

    /// Returns keys that are newer than those that the caller knows. All callers wait for the same read. After a read
    /// there is a pause, in which unknown keys lead to no request.
    pub(super) async fn newer(&self, work: &Handle, known: Option<&Keys>) -> Newer {
        let mut ended = self.0.ended.subscribe();
        {
            let mut state = self.0.state();
            if let Some(keys) = state.newer(known) {
                return Newer::Keys(keys);
            }
            self.begin(&mut state, work);
            if !state.is_reading {
                return if state.has_failed { Newer::Unavailable } else { Newer::Known };
            }
        }
        // The read has a limit of its own, which is a little shorter.
        let _ = tokio::time::timeout(Duration::from_millis(2 * limits::KEYS_MS_MAX), ended.changed()).await;
        let state = self.0.state();
        match state.newer(known) {
            Some(keys) => Newer::Keys(keys),
            None if state.has_failed || state.is_reading => Newer::Unavailable,
            None => Newer::Known,
        }
    }

    /// Begins to read the keys, unless a read is under way or the pause is not over.
    fn begin(&self, state: &mut State, work: &Handle) {
        if state.is_reading || state.next_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        state.is_reading = true;
        let shared = self.0.clone();
        work.spawn(async move {
            let read = shared.read().await;
            shared.end(read);
        });
    }
}

impl State {
    fn newer(&self, known: Option<&Keys>) -> Option<Arc<Keys>> {
        let known = known.map_or(0, |known| known.number);
        self.keys.clone().filter(|keys| keys.number > known)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, read: Result<Vec<Jwk>, String>) {
        let mut state = self.state();
        let (now, has_failed) = (Instant::now(), read.is_err());
        let pause = if has_failed { limits::KEYS_RETRY_S } else { limits::KEYS_PAUSE_S };
        match read {
            Ok(all) => {
                let number = state.keys.as_ref().map_or(0, |keys| keys.number) + 1;
                (state.keys, state.read_at) = (Some(Arc::new(Keys { number, all })), Some(now));
            }
            Err(error) => {
                tracing::warn!(url = self.url, error, "could not read the keys of the authorization server");
            }
        }
        (state.is_reading, state.has_failed) = (false, has_failed);
        state.next_at = Some(now + Duration::from_secs(pause));
        drop(state);
        self.ended.send_replace(());
    }

    async fn read(&self) -> Result<Vec<Jwk>, String> {
        if !is_secure_url(&self.url) {
            return Err("expected an https URL, or one of this machine".to_owned());
        }
        let reading = async {
            let mut answer = self.http.get(&self.url).send().await.map_err(|error| error.to_string())?;
            if !answer.status().is_success() {
                return Err(format!("expected an answer with status 200, found {}", answer.status()));
            }
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
                body.extend_from_slice(&chunk);
                if body.len() > limits::KEYS_BYTES_MAX {
                    return Err(format!("expected at most {} bytes, found more", limits::KEYS_BYTES_MAX));
                }
            }
            Ok(body)
        };
        let body = tokio::time::timeout(Duration::from_millis(limits::KEYS_MS_MAX), reading).await;
        let body = body.map_err(|_| "no answer in time".to_owned())??;
        let document: Document =
            serde_json::from_slice(&body).map_err(|error| format!("expected a set of keys (JWKS): {error}"))?;
        // As RFC 7517 says, keys of an unknown kind are left out.
        let keys = document.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        Ok(keys.take(limits::KEYS_MAX).collect())
    }
}

/// Returns an HTTP client that connects directly, even if the environment names a proxy. It follows no redirect: the
/// keys are those at the URL of the settings.
fn direct() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
    // If this fails, nothing in the process could use TLS: `reqwest::Client::new` panics then, too.
    client.unwrap_or_else(|error| panic!("cannot create the HTTP client: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keys_are_used_while_they_are_fresh_and_for_a_day_while_their_server_is_away() {
        // Another test may have chosen it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let work = Handle::current();
        for (age_s, is_held, is_read_again) in [
            (0, true, false),
            (limits::KEYS_FRESH_S - 1, true, false),
            (limits::KEYS_FRESH_S, true, true),
            (limits::KEYS_AGE_S_MAX - 1, true, true),
            (limits::KEYS_AGE_S_MAX, false, false),
        ] {
            let jwks = Jwks::new("http://127.0.0.1:1/keys".to_owned());
            {
                let mut state = jwks.0.state();
                state.keys = Some(Arc::new(Keys { number: 1, all: Vec::new() }));
                state.read_at = Instant::now().checked_sub(Duration::from_secs(age_s));
            }
            assert_eq!(jwks.held(&work).is_some(), is_held, "{age_s} s");
            assert_eq!(jwks.0.state().is_reading, is_read_again, "{age_s} s");
            let newer = jwks.newer(&work, None).await;
            assert_eq!(matches!(newer, Newer::Keys(_)), is_held, "{age_s} s: {newer:?}");
            assert!(is_held || matches!(newer, Newer::Unavailable), "{age_s} s: {newer:?}");
        }
    }

    #[tokio::test]
    async fn keys_are_not_read_over_plain_http_from_another_machine() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let read = Jwks::new("http://login.example/keys".to_owned()).0.read().await;
        assert!(read.unwrap_err().contains("https"));
    }
}
