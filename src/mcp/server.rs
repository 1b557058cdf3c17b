//! The MCP server's shared state: settings, tools and their upkeep, and the stop signal. On that signal, calls that
//! wait answer with a handle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::auth::{Authority, Limits, Places, Trust};
use super::intake::Intake;
use super::principal::Grants;
use super::session_id::Seals;
use super::sessions::Sessions;
use super::tools::Tools;
use crate::client::{Client, Error};
use crate::config::mcp as limits;

/// Settings of the MCP server.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long a call waits for its saga before it answers with a handle. Default: 50 s.
    pub wait: Duration,
    /// How long equal arguments of one principal are the same call when no key is given. Default: none; every call
    /// without a key is a call of its own.
    pub dedupe: Option<Duration>,
    /// Which callers are accepted over HTTP. Default: everybody, as long as no live token exists.
    pub trust: Trust,
    /// What callers on standard input and output may do, and those over HTTP that need no token. Default: start all
    /// definitions and read all sagas.
    pub local: Grants,
    /// Names under which the server may be reached over HTTP, besides those of loopback: `HOST` or `HOST:PORT`.
    /// Default: none.
    pub hosts: Vec<String>,
    /// Origins of web pages that may call. Default: pages of loopback while everybody is accepted, else none.
    pub origins: Vec<String>,
    /// Requests of one principal per minute, which is also the largest burst. Default: 600.
    pub requests_per_minute: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            wait: Duration::from_millis(limits::WAIT_MS),
            dedupe: None,
            trust: Trust::Everybody,
            local: Grants::of_scopes(limits::LOCAL_SCOPES),
            hosts: Vec::new(),
            origins: Vec::new(),
            requests_per_minute: limits::REQUESTS_PER_MINUTE,
        }
    }
}

/// The MCP server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Door {
    pub(super) inner: Arc<Inner>,
}

/// State that all sessions share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) client: Client,
    pub(super) config: Config,
    pub(super) tools: Tools,
    pub(super) authority: Authority,
    pub(super) limits: Limits,
    /// Names under which the server may be called, and origins of pages that may call.
    pub(super) places: Places,
    /// Bodies and requests under way over HTTP.
    pub(super) intake: Arc<Intake>,
    /// Sessions over HTTP.
    pub(super) sessions: Arc<Sessions>,
    /// Seals the ids of sessions over HTTP.
    pub(super) seal: Seals,
    /// Calls in progress.
    pub(super) calls: TaskTracker,
    /// Cancelled when the node begins to stop.
    pub(super) stopping: CancellationToken,
    /// Cancelled when the server no longer waits for answers.
    pub(super) closed: CancellationToken,
}

impl Door {
    /// Opens the server: reads the tools, and keeps them up to date until [`Door::stop`].
    pub async fn open(client: Client, config: Config) -> Result<Self, Error> {
        let tools = Tools::new(config.dedupe.is_some());
        tools.refresh(&client).await?;
        let pages_of_loopback = matches!(config.trust, Trust::Everybody) && config.origins.is_empty();
        let places = Places::new(&config.hosts, &config.origins, pages_of_loopback);
        let authority = Authority::new(client.clone(), &config.trust, &places, config.local.clone()).await?;
        let limits = Limits::new(config.requests_per_minute);
        // More than one may begin within a minute, one need not have under way.
        let intake = Intake::new(usize::try_from(config.requests_per_minute).unwrap_or(usize::MAX));
        let (stopping, closed) = (CancellationToken::new(), CancellationToken::new());
        let inner = Arc::new(Inner {
            client,
            config,
            tools,
            authority,
            limits,
            places,
            intake,
            sessions: Sessions::new(),
            seal: Seals::new(),
            calls: TaskTracker::new(),
            stopping,
            closed,
        });
        let (kept, upkeep) = (inner.clone(), inner.client.work().clone());
        upkeep.spawn(async move { kept.upkeep().await });
        Ok(Self { inner })
    }

    /// Tells all calls that the node is stopping: calls that wait answer with a handle. The tools are no longer kept
    /// up to date.
    pub fn stop(&self) {
        self.inner.stopping.cancel();
    }

    /// Ends all sessions and streams, once the calls in progress have answered, or after `CLOSE_MS_MAX`.
    pub async fn close(&self) {
        self.stop();
        self.inner.calls.close();
        let answered = async {
            self.inner.calls.wait().await;
            // The last answer may still be in the transport.
            tokio::time::sleep(Duration::from_millis(limits::LAST_ANSWER_MS)).await;
        };
        // A call that has not answered by then never will.
        let _ = tokio::time::timeout(Duration::from_millis(limits::CLOSE_MS_MAX), answered).await;
        self.inner.closed.cancel();
    }
}

impl Inner {
    async fn upkeep(&self) {
        let pause = Duration::from_millis(limits::TOOLS_REFRESH_MS);
        let mut tidied_at = Instant::now();
        while self.stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            if let Err(error) = self.tools.refresh(&self.client).await {
                tracing::warn!(%error, "could not read the definitions of the tools");
            }
            if tidied_at.elapsed() >= Duration::from_secs(limits::LIMITS_UPKEEP_S) {
                self.limits.forget();
                tidied_at = Instant::now();
            }
        }
    }
}
