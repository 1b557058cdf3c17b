//! Whether callers on this machine need no token. As soon as a live token exists, every caller needs one, until the
//! process ends. So an operator who creates a token need not restart nodes, and a token that expires opens nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::config::mcp as limits;
use crate::store::{self, KnownTokens};

/// The state of a door that asks for no tokens.
#[derive(Debug)]
pub(super) struct Open {
    is_closed: AtomicBool,
    /// Time of the last look. The lock admits one look at a time; other callers go by the last one.
    looked_at: Mutex<Instant>,
}

impl Open {
    /// Looks for the first time.
    pub(super) async fn begin(client: &Client) -> Result<Self, store::Error> {
        let open = Self { is_closed: AtomicBool::new(false), looked_at: Mutex::new(Instant::now()) };
        if let Ok(found) = look(client).await {
            open.close_if(found?.live);
        }
        Ok(open)
    }

    /// Returns whether callers need no token. Looks again if the last look is old.
    pub(super) async fn is_open(&self, client: &Client) -> bool {
        if self.is_closed.load(Ordering::Relaxed) {
            return false;
        }
        if let Ok(mut looked_at) = self.looked_at.try_lock()
            && looked_at.elapsed() >= Duration::from_millis(limits::TOKENS_LOOK_MS)
        {
            match tokio::time::timeout(Duration::from_millis(limits::TOKENS_LOOK_MS_MAX), look(client)).await {
                Ok(Ok(Ok(found))) => self.close_if(found.live),
                Ok(Ok(Err(error))) => tracing::warn!(%error, "cannot look whether a live token exists"),
                // The database is slow, or the runtime has stopped.
                Ok(Err(_)) | Err(_) => tracing::warn!("cannot look whether a live token exists: no answer in time"),
            }
            *looked_at = Instant::now();
        }
        !self.is_closed.load(Ordering::Relaxed)
    }

    fn close_if(&self, a_token_exists: bool) {
        if a_token_exists && !self.is_closed.swap(true, Ordering::Relaxed) {
            tracing::info!("a live token exists: callers of /mcp need a token from now on (mcp.auth: bearer)");
        }
    }
}

fn look(client: &Client) -> JoinHandle<Result<KnownTokens, store::Error>> {
    let store = client.store().clone();
    // The drivers of the store belong to the client's runtime.
    client.work().spawn(async move { store.known_access_tokens().await })
}
