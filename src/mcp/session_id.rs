//! Seals session ids. Only the principal that began a session can use its sealed id. The keys are made in the database,
//! and all nodes use the same: a sealed id opens at each node, also after a restart. Leaves the sessions to rmcp, and
//! the keys' life to `store`.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ring::hmac;
use subtle::ConstantTimeEq as _;
use tokio::sync::Mutex;

use crate::client::Client;
use crate::config::mcp as limits;
use crate::store::SessionKey;

/// The seal of this node, which follows the keys in the database.
#[derive(Debug, Default)]
pub(super) struct Seals {
    seal: RwLock<Option<Arc<Seal>>>,
    /// Time of the next read of the keys. The lock admits one read at a time.
    next_at: Mutex<Option<Instant>>,
}

/// Seals with the current key, and opens with each key that lives.
#[derive(Debug)]
pub(super) struct Seal {
    current: hmac::Key,
    others: Vec<hmac::Key>,
}

impl Seals {
    /// Creates a seal that reads the keys when it is first used.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Returns the seal; none if the keys were never read and cannot be read now.
    pub(super) async fn current(&self, client: &Client) -> Option<Arc<Seal>> {
        let mut next_at = match self.held() {
            None => self.next_at.lock().await,
            Some(held) => match self.next_at.try_lock() {
                Ok(next_at) => next_at,
                // Another request reads the keys.
                Err(_) => return Some(held),
            },
        };
        if let Some(held) = self.held()
            && next_at.is_some_and(|at| Instant::now() < at)
        {
            return Some(held);
        }
        let store = client.store().clone();
        // The drivers of the store belong to the client's runtime.
        let read = client.work().spawn(async move { store.session_keys(limits::SESSION_KEY_S).await }).await;
        let (seal, pause) = match read {
            Ok(Ok(keys)) => (Seal::of(&keys), limits::SESSION_KEYS_FRESH_S),
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot read the keys of session ids");
                (None, limits::SESSION_KEYS_RETRY_S)
            }
            // The runtime has stopped.
            Err(_) => (None, limits::SESSION_KEYS_RETRY_S),
        };
        *next_at = Some(Instant::now() + Duration::from_secs(pause));
        if let Some(seal) = seal {
            *self.seal.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(seal));
        }
        self.held()
    }

    fn held(&self) -> Option<Arc<Seal>> {
        self.seal.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Seal {
    /// Returns the seal of these keys; none if no key is the current one.
    fn of(keys: &[SessionKey]) -> Option<Self> {
        let key = |key: &SessionKey| hmac::Key::new(hmac::HMAC_SHA256, &key.key);
        let current = keys.iter().find(|key| key.is_current).map(key)?;
        Some(Self { current, others: keys.iter().filter(|key| !key.is_current).map(key).collect() })
    }

    /// Returns the sealed id that the principal gets: the id, and an HMAC of id and principal.
    pub(super) fn close(&self, id: &str, principal: &str) -> String {
        sealed(&self.current, id, principal)
    }

    /// Returns the id in a sealed id; none if it was not sealed for this principal.
    pub(super) fn open<'a>(&self, given: &'a str, principal: &str) -> Option<&'a str> {
        let (id, _) = given.rsplit_once('.')?;
        let mut keys = std::iter::once(&self.current).chain(&self.others);
        let is_theirs = keys.any(|key| bool::from(sealed(key, id, principal).as_bytes().ct_eq(given.as_bytes())));
        is_theirs.then_some(id)
    }
}

fn sealed(key: &hmac::Key, id: &str, principal: &str) -> String {
    // Unambiguous: an id is a header value, and a header value holds no newline.
    let tag = hmac::sign(key, format!("{id}\n{principal}").as_bytes());
    tag.as_ref().iter().fold(format!("{id}."), |sealed, byte| format!("{sealed}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(keys: &[(u8, bool)]) -> Seal {
        let key = |(byte, is_current): &(u8, bool)| SessionKey { key: vec![*byte; 32], is_current: *is_current };
        Seal::of(&keys.iter().map(key).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn an_id_opens_for_whom_it_was_sealed_and_nobody_else() {
        let (seal, other) = (seal(&[(1, true)]), seal(&[(2, true)]));
        let sealed = seal.close("4f.2a", "ada");
        assert_eq!(seal.open(&sealed, "ada"), Some("4f.2a"));
        assert_eq!((seal.open(&sealed, "bob"), other.open(&sealed, "ada")), (None, None));
        for wrong in ["", "4f.2a", "4f.2a.", &sealed[1..], &sealed[..sealed.len() - 1]] {
            assert_eq!(seal.open(wrong, "ada"), None, "{wrong:?}");
        }
    }

    #[test]
    fn an_id_opens_until_its_key_is_gone() {
        let sealed = seal(&[(1, true), (2, false)]).close("4f", "ada");
        for node in [&[(1, true), (2, false)][..], &[(1, false), (2, true), (3, false)]] {
            assert_eq!(seal(node).open(&sealed, "ada"), Some("4f"), "{node:?}");
        }
        // A node that has not read the keys again for a while knows the key that is used next.
        let next = seal(&[(1, false), (2, true), (3, false)]).close("4f", "ada");
        assert_eq!(seal(&[(1, true), (2, false)]).open(&next, "ada"), Some("4f"));
        assert_eq!(seal(&[(2, false), (3, true), (4, false)]).open(&sealed, "ada"), None);
        assert!(Seal::of(&[]).is_none());
    }
}
