//! One open connection to an MCP server. Owns the handshake over a child's pipes or over HTTP, and the watch
//! over its end; when to open one, and when to give up, is `link.rs`'s business.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::header::HeaderMap;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ClientRequest, ErrorCode, Implementation, PingRequest, ProtocolVersion,
};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, Peer, RoleClient, RunningService,
    serve_client_with_lifecycle_and_ct,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::child::{self, Program};
use super::lines::Lines;
use crate::config::participant::{CHILD_GRACE, MESSAGE_BYTES_MAX, PING_TIMEOUT};
use crate::participant::http;
use crate::participant::reply::excerpt;
use crate::participant::secret::Filter;

/// Where an MCP server is.
pub(in crate::participant) enum Server {
    /// A child process.
    Child(Program),
    /// An endpoint of streamable HTTP.
    Http {
        url: String,
        headers: HeaderMap,
        client: reqwest::Client,
        /// POSTs at once.
        concurrency_max: usize,
    },
}

/// A connection that was opened. It is closed when the last call on it is over and the link has let go of it.
pub(super) struct Session {
    peer: Peer<RoleClient>,
    /// Whether it ever answered: then its end is no reason to wait before the next one.
    answered: AtomicBool,
    /// Whether somebody is finding out if it hangs.
    suspected: AtomicBool,
    /// How it ended.
    ended: watch::Receiver<Option<String>>,
    stop: CancellationToken,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Session {
    pub(super) fn peer(&self) -> &Peer<RoleClient> {
        &self.peer
    }

    /// Notes that the server answered.
    pub(super) fn note_answer(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    pub(super) fn is_alive(&self) -> bool {
        self.ended.borrow().is_none() && !self.stop.is_cancelled() && !self.peer.is_transport_closed()
    }

    /// Closes it, and ends the process under it.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for its end and returns how it came.
    pub(super) async fn ending(&self) -> Option<String> {
        let mut ended = self.ended.clone();
        ended.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Returns false if somebody else is finding out already whether it hangs.
    pub(super) fn begin_suspicion(&self) -> bool {
        !self.suspected.swap(true, Ordering::Relaxed)
    }

    /// Whether it leaves a ping without any answer; that it does not know pings is an answer, too.
    pub(super) async fn hangs(&self) -> bool {
        let ping = self.peer.send_request(ClientRequest::PingRequest(PingRequest::default()));
        let hangs = timeout(PING_TIMEOUT, ping).await.is_err();
        self.suspected.store(false, Ordering::Relaxed);
        hangs
    }
}

/// Opens a connection. The error is for people; nothing was sent but the handshake.
pub(super) async fn open(name: &str, server: &Server, filter: &Filter) -> Result<Arc<Session>, String> {
    match connect(name, server, filter, ClientLifecycleMode::Initialize).await {
        // A server of the newest protocol alone knows no handshake, only self-contained requests.
        Err(Refusal { modern: true, .. }) => {
            let mode = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::LATEST] };
            connect(name, server, filter, mode).await.map_err(|refusal| refusal.message)
        }
        other => other.map_err(|refusal| refusal.message),
    }
}

async fn connect(
    name: &str,
    server: &Server,
    filter: &Filter,
    mode: ClientLifecycleMode,
) -> Result<Arc<Session>, Refusal> {
    let stop = CancellationToken::new();
    // Whoever gives up on the handshake ends what was begun.
    let unfinished = stop.clone().drop_guard();
    let ourselves = Implementation::new("amends", env!("CARGO_PKG_VERSION"));
    let config = ClientConfig::new(ClientCapabilities::default(), ourselves);
    let (service, ending) = match server {
        Server::Child(program) => {
            let started = child::start(name, program, filter).map_err(|error| {
                Refusal::plain(format!("cannot start {:?}: {error}", program.command.shown()))
            })?;
            let output = Lines::new(started.output, MESSAGE_BYTES_MAX);
            let transport = AsyncRwTransport::<RoleClient, _, _>::new(output, started.input)
                .with_max_line_length(usize::MAX);
            let attending = tokio::spawn(started.process.attend(stop.clone()));
            match serve_client_with_lifecycle_and_ct(config, transport, mode, stop.child_token()).await {
                Ok(service) => (service, async { attending.await.ok() }.boxed()),
                Err(error) => {
                    // A process that ended by itself has more to say than its closed pipe.
                    let how = timeout(CHILD_GRACE / 4, attending).await.ok().and_then(Result::ok);
                    return Err(Refusal::of(&error, how));
                }
            }
        }
        Server::Http { url, headers, client, concurrency_max } => {
            let headers = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            let transport_config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
                .custom_headers(headers)
                .max_concurrent_requests(*concurrency_max)
                .max_json_response_size(MESSAGE_BYTES_MAX)
                .max_sse_event_size(MESSAGE_BYTES_MAX)
                // It would send a request again by itself; every dispatch is the journal's.
                .reinit_on_expired_session(false);
            let transport = StreamableHttpClientTransport::with_client(client.clone(), transport_config);
            let service = serve_client_with_lifecycle_and_ct(config, transport, mode, stop.child_token())
                .await
                .map_err(|error| Refusal::of(&error, None))?;
            (service, async { None }.boxed())
        }
    };
    unfinished.disarm();
    Ok(watched(name.to_owned(), filter.clone(), service, stop, ending))
}

/// Makes a session of a service and sees to its end.
fn watched(
    name: String,
    filter: Filter,
    service: RunningService<RoleClient, ClientConfig>,
    stop: CancellationToken,
    ending: BoxFuture<'static, Option<String>>,
) -> Arc<Session> {
    let (tell, ended) = watch::channel(None);
    let session = Session {
        peer: service.peer().clone(),
        answered: AtomicBool::new(false),
        suspected: AtomicBool::new(false),
        ended,
        stop: stop.clone(),
    };
    tokio::spawn(async move {
        let quit = service.waiting().await;
        // Its transport is gone, and with it the child's input.
        stop.cancel();
        let how = ending.await.unwrap_or_else(|| match quit {
            Ok(reason) => format!("the session ended: {reason:?}"),
            Err(error) => format!("the session's task ended: {error}"),
        });
        let how = filter.clean(how);
        tracing::info!(participant = name, how, "connection to participant ended");
        let _ = tell.send(Some(how));
    });
    Arc::new(session)
}

/// Why a connection could not be opened.
struct Refusal {
    message: String,
    /// The server may speak the newest protocol only.
    modern: bool,
}

impl Refusal {
    fn plain(message: String) -> Self {
        Self { message, modern: false }
    }

    fn of(error: &ClientInitializeError, how: Option<String>) -> Self {
        let modern = matches!(error, ClientInitializeError::JsonRpcError(error) if matches!(
            error.code,
            ErrorCode::METHOD_NOT_FOUND | ErrorCode::INVALID_REQUEST | ErrorCode::UNSUPPORTED_PROTOCOL_VERSION
        ));
        let how = how.unwrap_or_else(|| match error {
            ClientInitializeError::TransportError { error, .. } => told(&*error.error),
            other => other.to_string(),
        });
        Self { message: format!("the handshake failed: {how}"), modern }
    }
}

/// Returns what a transport's error says, without the URL that reqwest puts into its own.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::Client(error)) => http::innermost(error),
        Some(other) => excerpt(&other.to_string()),
        None => excerpt(&error.to_string()),
    }
}
