//! One open connection to an MCP server: the handshake over a child's pipes or over HTTP, the requests, and the watch
//! over its end. `connection.rs` decides when to open one and when to give up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::header::HeaderMap;
use rmcp::ServiceError;
use rmcp::model::{
    CancelledNotificationParam, ClientCapabilities, ClientConfig, ClientRequest, ErrorCode, GetExtensions,
    Implementation, ListToolsRequest, PaginatedRequestParams, PingRequest, ProtocolVersion, RequestId,
};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, Peer, PeerRequestOptions, RoleClient, RunningService,
    serve_client_with_lifecycle_and_ct,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::child::{self, Program};
use super::framing::Lines;
use super::pipes::Pipes;
use super::post::{Greeting, Posts};
use super::raw::{Heard, Said, Slot, Waiting};
use super::tools::{self, Tools};
use crate::config::participant::{CHILD_GRACE, MESSAGE_BYTES_MAX, PING_TIMEOUT, SESSION_KNOWN};
use crate::files;
use crate::participant::http;
use crate::participant::reply::excerpt;
use crate::participant::secret::Filter;

/// How an MCP server is reached.
pub(in crate::participant) enum Server {
    /// A child process.
    Child(Program),
    /// An endpoint of streamable HTTP.
    Http {
        url: String,
        headers: HeaderMap,
        client: reqwest::Client,
        /// Most calls in flight at once.
        concurrency_max: usize,
    },
}

/// An open connection. It closes when the link has dropped it and its last call is over.
pub(super) struct Session {
    peer: Peer<RoleClient>,
    waiting: Arc<Waiting>,
    tools: Tools,
    /// Whether the server speaks the newest protocol, which has no sessions and no pings.
    is_modern: bool,
    /// When the server last answered in a session with an id, which it may forget. None if the session has no id.
    known_at: Mutex<Option<Instant>>,
    /// Whether the server ever answered. If so, the next session is opened without a pause.
    answered: AtomicBool,
    /// Whether the check for a hanging server is running.
    suspected: AtomicBool,
    /// Whether the server has left a ping unanswered. It gets no further call until it answers.
    silent: watch::Sender<bool>,
    /// Calls in flight.
    calls: watch::Sender<usize>,
    /// How the session ended; none while it is open.
    ended: watch::Receiver<Option<String>>,
    stop: CancellationToken,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A call in flight.
pub(super) struct InFlight<'a>(&'a Session);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.calls.send_modify(|calls| *calls -= 1);
    }
}

impl tools::Server for Session {
    async fn answer(&self, request: ClientRequest) -> Option<String> {
        match self.ask(&Arc::new(Slot::default()), request).await.ok()?.said {
            Said::Result(text) => Some(text),
            Said::Error { .. } | Said::Body(_) | Said::Unread(..) => None,
        }
    }
}

impl Session {
    /// Sends a request and returns its answer, whatever it is. An error means that no answer came. Dropping the
    /// future cancels the request at the server.
    pub(super) async fn ask(&self, slot: &Arc<Slot>, mut request: ClientRequest) -> Result<Heard, ServiceError> {
        request.extensions_mut().insert(Arc::clone(slot));
        let unsent = Unsent(slot);
        let handle = self.peer.send_request_with_option(request, PeerRequestOptions::no_options()).await?;
        let mut unanswered = Unanswered { session: self, id: Some(handle.id.clone()) };
        let ended = handle.await_response().await;
        if let Some(id) = unanswered.id.take() {
            self.waiting.forget(&id);
        }
        drop(unsent);
        match (slot.take(), ended) {
            (Some(heard), _) => {
                self.note(&heard);
                Ok(heard)
            }
            (None, Ok(_)) => Err(ServiceError::UnexpectedResponse),
            (None, Err(error)) => Err(error),
        }
    }

    /// Records that the server answered. Only a result counts, or an error that names the request.
    fn note(&self, heard: &Heard) {
        if matches!(heard.said, Said::Result(_) | Said::Error { named: true, .. }) {
            self.answered.store(true, Ordering::Relaxed);
            let known_at = heard.via.in_session.then(Instant::now);
            *self.known_at.lock().unwrap_or_else(PoisonError::into_inner) = known_at;
        }
    }

    /// Whether the server may have forgotten the session: its last answer in it is `SESSION_KNOWN` old or older.
    pub(super) fn may_be_forgotten(&self) -> bool {
        let known_at = *self.known_at.lock().unwrap_or_else(PoisonError::into_inner);
        known_at.is_some_and(|at| at.elapsed() >= SESSION_KNOWN)
    }

    /// Counts a call as in flight until the returned guard is dropped.
    pub(super) fn begin_call(&self) -> InFlight<'_> {
        self.calls.send_modify(|calls| *calls += 1);
        InFlight(self)
    }

    /// Whether the server lists a tool; none if that cannot be found out. See [`Tools::has`].
    pub(super) async fn has_tool(&self, tool: &str, begun: Instant) -> Option<bool> {
        self.tools.has(tool, begun, self).await
    }

    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    pub(super) fn is_alive(&self) -> bool {
        self.ended.borrow().is_none() && !self.stop.is_cancelled() && !self.peer.is_transport_closed()
    }

    /// Closes the session and ends the child process under it.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for the end of the session and returns how it ended.
    pub(super) async fn ending(&self) -> Option<String> {
        let mut ended = self.ended.clone();
        ended.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Waits until the server may take a call: no ping is unanswered, or the session is over.
    pub(super) async fn ready(&self) {
        let mut silent = self.silent.subscribe();
        tokio::select! {
            _ = silent.wait_for(|silent| !silent) => {}
            _ = self.ending() => {}
        }
    }

    /// Begins a check of whether the server hangs. Returns false if one is running already.
    pub(super) fn begin_suspicion(&self) -> bool {
        !self.suspected.swap(true, Ordering::Relaxed)
    }

    /// Ends the check that [`begin_suspicion`](Self::begin_suspicion) began.
    pub(super) fn end_suspicion(&self) {
        self.suspected.store(false, Ordering::Relaxed);
    }

    /// Whether the server hangs: it answers neither a ping nor anything else, and the time of all calls in flight is
    /// over. Until then it may just be busy, if it handles one request at a time. Once it has left the ping
    /// unanswered for `PING_TIMEOUT`, it gets no further call.
    pub(super) async fn hangs(&self) -> bool {
        let mut answers = self.waiting.answers();
        let mut calls = self.calls.subscribe();
        let patience = async {
            sleep(PING_TIMEOUT).await;
            self.silent.send_replace(true);
            // The sender lives as long as the session.
            let _ = calls.wait_for(|calls| *calls == 0).await;
        };
        let hangs = tokio::select! {
            _ = self.check() => false,
            _ = answers.changed() => false,
            _ = self.ending() => false,
            () = patience => true,
        };
        if !hangs {
            self.silent.send_replace(false);
        }
        self.end_suspicion();
        hangs
    }

    /// Sends a request that a server must answer: a ping, or a list of tools where the protocol has no pings. An
    /// error that the request is unknown is an answer, too.
    pub(super) async fn check(&self) -> Result<Heard, ServiceError> {
        let request = if self.is_modern {
            ClientRequest::ListToolsRequest(ListToolsRequest::with_param(PaginatedRequestParams::default()))
        } else {
            ClientRequest::PingRequest(PingRequest::default())
        };
        self.ask(&Arc::new(Slot::default()), request).await
    }
}

/// Drop guard: gives a request up with its caller, unless writing has begun.
struct Unsent<'a>(&'a Slot);

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}

/// Drop guard: tells the server that a request is cancelled, because its caller no longer waits for the answer.
struct Unanswered<'a> {
    session: &'a Session,
    id: Option<RequestId>,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        self.session.waiting.forget(&id);
        let Ok(runtime) = Handle::try_current() else { return };
        let peer = self.session.peer.clone();
        let reason = "the time of the call is over";
        let told = CancelledNotificationParam::new(Some(id), Some(reason.to_owned()));
        runtime.spawn(async move { peer.notify_cancelled(told).await });
    }
}

/// Why there is no connection.
#[derive(Clone, Debug)]
pub(super) enum NotOpened {
    /// This node had no free file descriptor. The server was not asked.
    OutOfFiles,
    /// A message for people.
    Said(String),
}

/// Opens a connection. The error is for people. Only the handshake was sent; `greeting` records more about it.
pub(super) async fn open(
    name: &str,
    server: &Server,
    filter: &Filter,
    greeting: &Arc<Greeting>,
) -> Result<Arc<Session>, NotOpened> {
    match connect(name, server, filter, greeting, ClientLifecycleMode::Initialize).await {
        // A server that speaks only the newest protocol has no handshake, only self-contained requests.
        Err(Refusal { modern: true, .. }) => {
            let mode = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::LATEST] };
            connect(name, server, filter, greeting, mode).await.map_err(|refusal| refusal.reason)
        }
        other => other.map_err(|refusal| refusal.reason),
    }
}

async fn connect(
    name: &str,
    server: &Server,
    filter: &Filter,
    greeting: &Arc<Greeting>,
    mode: ClientLifecycleMode,
) -> Result<Arc<Session>, Refusal> {
    let stop = CancellationToken::new();
    // A caller that gives up on the handshake ends what was begun.
    let unfinished = stop.clone().drop_guard();
    let ourselves = Implementation::new("amends", env!("CARGO_PKG_VERSION"));
    let config = ClientConfig::new(ClientCapabilities::default(), ourselves);
    let waiting = Waiting::new();
    let is_modern = !matches!(mode, ClientLifecycleMode::Initialize);
    let (service, ending) = match server {
        Server::Child(program) => {
            let started = child::start(name, program, filter).map_err(|error| match files::is_shortage(&error) {
                true => Refusal { reason: NotOpened::OutOfFiles, modern: false },
                false => Refusal::plain(format!("cannot start {:?}: {error}", program.command.shown())),
            })?;
            let output = Lines::new(started.output, MESSAGE_BYTES_MAX);
            let transport = Pipes::new(output, started.input, Arc::clone(&waiting));
            let attending = tokio::spawn(started.process.attend(stop.clone()));
            match serve_client_with_lifecycle_and_ct(config, transport, mode, stop.child_token()).await {
                Ok(service) => (service, async { attending.await.ok() }.boxed()),
                Err(error) => {
                    // The end of a process says more than its closed pipe.
                    let how = timeout(CHILD_GRACE / 4, attending).await.ok().and_then(Result::ok);
                    return Err(Refusal::from_error(&error, how, filter));
                }
            }
        }
        Server::Http { url, headers, client, concurrency_max } => {
            let headers = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            let transport_config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
                .custom_headers(headers)
                // Each call, and a check of its session beside it.
                .max_concurrent_requests(concurrency_max.saturating_mul(2))
                .max_json_response_size(MESSAGE_BYTES_MAX)
                .max_sse_event_size(MESSAGE_BYTES_MAX)
                // rmcp would send a request again by itself. Only the journal decides on that.
                .reinit_on_expired_session(false);
            let client = Posts::new(client.clone(), Arc::clone(&waiting), Arc::clone(greeting));
            let transport = StreamableHttpClientTransport::with_client(client, transport_config);
            let service = serve_client_with_lifecycle_and_ct(config, transport, mode, stop.child_token())
                .await
                .map_err(|error| Refusal::from_error(&error, None, filter))?;
            (service, async { None }.boxed())
        }
    };
    unfinished.disarm();
    let (tell, ended) = watch::channel(None);
    let session = Session {
        peer: service.peer().clone(),
        waiting,
        tools: Tools::default(),
        is_modern,
        known_at: Mutex::new(None),
        answered: AtomicBool::new(false),
        suspected: AtomicBool::new(false),
        silent: watch::Sender::new(false),
        calls: watch::Sender::new(0),
        ended,
        stop: stop.clone(),
    };
    watch_over(name.to_owned(), filter.clone(), service, stop, ending, tell);
    Ok(Arc::new(session))
}

/// Starts a task that waits for the end of a session and reports it.
fn watch_over(
    name: String,
    filter: Filter,
    service: RunningService<RoleClient, ClientConfig>,
    stop: CancellationToken,
    ending: BoxFuture<'static, Option<String>>,
    tell: watch::Sender<Option<String>>,
) {
    tokio::spawn(async move {
        let quit = service.waiting().await;
        // The transport is gone, and so the child's input is closed.
        stop.cancel();
        let how = ending.await.unwrap_or_else(|| match quit {
            Ok(reason) => format!("the session ended: {reason:?}"),
            Err(error) => format!("the session's task ended: {error}"),
        });
        let how = filter.clean(how);
        tracing::info!(participant = name, how, "connection to participant ended");
        let _ = tell.send(Some(how));
    });
}

/// Why a connection could not be opened.
struct Refusal {
    reason: NotOpened,
    /// Whether the server may speak only the newest protocol.
    modern: bool,
}

impl Refusal {
    fn plain(message: String) -> Self {
        Self { reason: NotOpened::Said(message), modern: false }
    }

    fn from_error(error: &ClientInitializeError, how: Option<String>, filter: &Filter) -> Self {
        let modern = matches!(error, ClientInitializeError::JsonRpcError(error) if matches!(
            error.code,
            ErrorCode::METHOD_NOT_FOUND | ErrorCode::INVALID_REQUEST | ErrorCode::UNSUPPORTED_PROTOCOL_VERSION
        ));
        if let ClientInitializeError::TransportError { error, .. } = error
            && is_shortage(&*error.error)
        {
            return Self { reason: NotOpened::OutOfFiles, modern: false };
        }
        let how = how.unwrap_or_else(|| match error {
            ClientInitializeError::TransportError { error, .. } => told(&*error.error, filter),
            other => other.to_string(),
        });
        Self { reason: NotOpened::Said(format!("the handshake failed: {how}")), modern }
    }
}

/// Whether this node had no free file descriptor for the exchange. An error of rmcp does not pass its cause on.
fn is_shortage(error: &(dyn std::error::Error + 'static)) -> bool {
    match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::Client(error)) => files::is_shortage(error),
        Some(_) | None => files::is_shortage(error),
    }
}

/// Returns the message of a transport's error, without the URL that reqwest adds to its own errors, and without
/// secrets. The filter runs before the message is cut: it would not find half a secret.
fn told(error: &(dyn std::error::Error + 'static), filter: &Filter) -> String {
    match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::Client(error)) => http::innermost(error),
        Some(other) => excerpt(&filter.clean(other.to_string())),
        None => excerpt(&filter.clean(error.to_string())),
    }
}
