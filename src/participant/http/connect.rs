//! Opens connections: the HTTP client, the look-up of names, and the stage that an attempt reached before its time
//! ended. This file upholds the promise "nothing was sent".

use std::collections::HashMap;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderMap;
use tokio::time::{Instant, timeout, timeout_at};
use tower_layer::Layer;
use tower_service::Service;

use crate::config::participant::{CONNECT_TIMEOUT, CONNECTION_IDLE_MAX, RESOLVE_TIMEOUT};
use crate::files;
use crate::participant::default_rules::DefaultRule as Rule;
use crate::participant::reply::Reply;

/// Makes a client that does nothing on its own. It follows no redirects: they would leave the base URL. It makes no
/// retries: the journal decides on them. It uses no proxy that the environment names: a proxy would see secrets.
pub(in crate::participant) fn client() -> reqwest::Result<reqwest::Client> {
    builder().build()
}

/// Makes a client that opens a connection for each request. An HTTP answer does not say which request it answers. If
/// a server sent an answer twice, or too late, the next call on the connection would take it for its own. Answers of
/// MCP name their request.
pub(in crate::participant) fn client_of_single_calls() -> reqwest::Result<reqwest::Client> {
    builder().pool_max_idle_per_host(0).build()
}

/// Makes a client for a machine whose resolver never answers.
#[cfg(test)]
pub(in crate::participant) fn client_without_names() -> reqwest::Result<reqwest::Client> {
    let long = Duration::from_secs(3_600);
    builder_within(long, Resolver::new(long, never)).build()
}

#[cfg(test)]
fn never(_: &str) -> std::io::Result<Vec<SocketAddr>> {
    loop {
        std::thread::park();
    }
}

fn builder() -> reqwest::ClientBuilder {
    builder_within(CONNECT_TIMEOUT, Resolver::of_machine())
}

fn builder_within(limit: Duration, resolver: Resolver) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .dns_resolver(resolver)
        .connector_layer(Watch)
        .connect_timeout(limit)
        .pool_idle_timeout(CONNECTION_IDLE_MAX)
        .user_agent(concat!("amends/", env!("CARGO_PKG_VERSION")))
}

/// The progress of one attempt. Nothing is sent before its connection is open.
#[derive(Debug)]
pub(in crate::participant) struct Progress {
    deadline: Instant,
    stage: AtomicU8,
    /// The pause that the head of the answer asks for. The body may never come.
    pause: OnceLock<Duration>,
}

/// The stage of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    /// The connection is being opened.
    Connecting,
    /// The name is being looked up.
    Resolving,
    /// The connection is open. From here on the call may have an effect.
    Open,
}

tokio::task_local! {
    /// The attempt that this task makes.
    static ATTEMPT: Arc<Progress>;
}

impl Progress {
    pub(in crate::participant) fn until(deadline: Instant) -> Arc<Self> {
        Arc::new(Self { deadline, stage: AtomicU8::new(Stage::Connecting as u8), pause: OnceLock::new() })
    }

    /// Runs an exchange until the deadline and records its progress.
    pub(super) async fn watch(self: Arc<Self>, exchange: impl Future<Output = Reply>) -> Reply {
        let deadline = self.deadline;
        match timeout_at(deadline, Arc::clone(&self).record(exchange)).await {
            Ok(reply) => reply,
            Err(_) => self.late(),
        }
    }

    /// Runs an exchange and records its progress.
    pub(in crate::participant) async fn record<Exchange: Future>(
        self: Arc<Self>,
        exchange: Exchange,
    ) -> Exchange::Output {
        ATTEMPT.scope(self, exchange).await
    }

    /// Makes the reply for an attempt whose time is over.
    fn late(&self) -> Reply {
        if self.is_at(Stage::Open) {
            Reply::new(Rule::Timeout, "no answer within the time of an attempt").after(self.pause.get().copied())
        } else {
            self.unsent()
        }
    }

    /// Records the pause that the head of the answer asks for.
    pub(super) fn answered(&self, headers: &HeaderMap) {
        if let Some(pause) = super::pause(headers) {
            self.pause.get_or_init(|| pause);
        }
    }

    /// Makes the reply for an attempt that sent nothing within its time.
    pub(in crate::participant) fn unsent(&self) -> Reply {
        if self.is_resolving() {
            let message = "the name did not resolve within the time of an attempt; nothing was sent";
            Reply::new(Rule::Unresolved, message)
        } else {
            Reply::new(Rule::Refused, "no connection within the time of an attempt; nothing was sent")
        }
    }

    /// Whether the name is being looked up.
    pub(in crate::participant) fn is_resolving(&self) -> bool {
        self.is_at(Stage::Resolving)
    }

    fn is_at(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::SeqCst) == stage as u8
    }

    fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::SeqCst);
    }

    /// Marks the connection as open, unless the attempt's time is over: then the connection is not used.
    fn open(&self) -> Result<(), NotOpened> {
        if Instant::now() >= self.deadline {
            return Err(NotOpened("the connection came after the time of the attempt"));
        }
        self.enter(Stage::Open);
        Ok(())
    }
}

/// Why a connection is not used.
#[derive(Debug)]
struct NotOpened(&'static str);

impl fmt::Display for NotOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NotOpened {}

/// Layer that watches each connection that a client opens.
#[derive(Clone, Copy)]
struct Watch;

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, connector: S) -> Watched<S> {
        Watched(connector)
    }
}

/// A connector that tells the attempt when its connection is open.
#[derive(Clone)]
struct Watched<S>(S);

impl<S, Target> Service<Target> for Watched<S>
where
    S: Service<Target, Error = Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: Target) -> Self::Future {
        let opening = self.0.call(target);
        Box::pin(async move {
            let connection = opening.await?;
            // A connection outside an attempt, such as that of a session, has no progress to record.
            if let Ok(opened) = ATTEMPT.try_with(|attempt| attempt.open()) {
                opened?;
            }
            Ok(connection)
        })
    }
}

/// A look-up of a name by the machine's resolver. Its callers share the addresses, or the failure.
type LookUp = Shared<BoxFuture<'static, Result<Vec<SocketAddr>, NotFound>>>;

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NotFound {
    /// No file descriptor was free, so no name server was asked.
    OutOfFiles,
    Said(String),
}

impl NotFound {
    /// Reads the error of the machine's resolver. Without a free file descriptor it cannot even read its settings, and
    /// then says that there is no such name.
    fn from_resolver(error: &std::io::Error) -> Self {
        if files::is_shortage(error) || !files::is_free() { Self::OutOfFiles } else { Self::Said(error.to_string()) }
    }
}

/// Looks up names. The machine's resolver blocks a thread, for half a minute if no name server answers. So each name
/// has one look-up at a time. Its callers share it, and each caller waits up to the limit.
#[derive(Clone)]
struct Resolver {
    limit: Duration,
    look_up: fn(&str) -> std::io::Result<Vec<SocketAddr>>,
    pending: Arc<Mutex<HashMap<String, LookUp>>>,
}

fn addresses(host: &str) -> std::io::Result<Vec<SocketAddr>> {
    Ok((host, 0).to_socket_addrs()?.collect())
}

impl Resolver {
    fn of_machine() -> Self {
        Self::new(RESOLVE_TIMEOUT, addresses)
    }

    fn new(limit: Duration, look_up: fn(&str) -> std::io::Result<Vec<SocketAddr>>) -> Self {
        Self { limit, look_up, pending: Arc::default() }
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<String, LookUp>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the look-up of a name, or starts one.
    fn look_up(&self, host: &str) -> LookUp {
        let mut pending = self.pending();
        if let Some(begun) = pending.get(host) {
            return begun.clone();
        }
        let (resolver, name) = (self.clone(), host.to_owned());
        let task = tokio::task::spawn_blocking(move || {
            let found = (resolver.look_up)(&name).map_err(|error| NotFound::from_resolver(&error));
            resolver.pending().remove(&name);
            found
        });
        let begun =
            task.map(|found| found.unwrap_or_else(|error| Err(NotFound::Said(error.to_string())))).boxed().shared();
        pending.insert(host.to_owned(), begun.clone());
        begun
    }

    async fn resolved(self, host: String) -> Result<Vec<SocketAddr>, NotFound> {
        let look_up = self.look_up(&host);
        match timeout(self.limit, look_up.clone()).await {
            Ok(Ok(found)) if found.is_empty() => Err(NotFound::Said(format!("{host:?} has no address"))),
            Ok(found) => {
                // A look-up whose task was cancelled did not remove itself.
                let mut pending = self.pending();
                if pending.get(&host).is_some_and(|other| other.ptr_eq(&look_up)) {
                    pending.remove(&host);
                }
                found
            }
            Err(_) => Err(NotFound::Said(format!("no answer of the resolver within {:?}", self.limit))),
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolving = self.clone().resolved(name.as_str().to_owned());
        let enter = |stage| {
            let _ = ATTEMPT.try_with(|attempt| attempt.enter(stage));
        };
        Box::pin(async move {
            enter(Stage::Resolving);
            let found = resolving.await.map_err(|error| match error {
                NotFound::OutOfFiles => files::shortage().into(),
                NotFound::Said(message) => Box::<dyn std::error::Error + Send + Sync>::from(message),
            })?;
            enter(Stage::Connecting);
            let found: Addrs = Box::new(found.into_iter());
            Ok(found)
        })
    }
}

/// Returns the message of an error's innermost cause. The outer errors repeat the URL.
pub(in crate::participant) fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Makes the reply for a call for which no file descriptor was free. The node retries it without using up an attempt.
pub(in crate::participant) fn out_of_files() -> Reply {
    Reply::new(Rule::OutOfFiles, "this node has no free file descriptor; nothing was sent")
}

/// Makes the reply for an exchange that ended without an answer.
pub(in crate::participant) fn lost(error: &reqwest::Error) -> Reply {
    let cause = innermost(error);
    if error.is_builder() {
        return Reply::new(Rule::Arguments, format!("the request cannot be written: {cause}"));
    }
    if (error.is_dns() || error.is_connect()) && files::is_shortage(error) {
        return out_of_files();
    }
    if error.is_dns() {
        return Reply::new(Rule::Unresolved, format!("the name does not resolve, nothing was sent: {cause}"));
    }
    if error.is_connect() {
        return Reply::new(Rule::Refused, format!("no connection, nothing was sent: {cause}"));
    }
    Reply::new(Rule::Closed, format!("the connection ended before the answer: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::net::{TcpSocket, TcpStream};

    use super::*;
    use crate::participant::config::install_crypto;
    use crate::saga::definition::Verdict;

    /// A limit that must not take effect. The message shows which limit did.
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(20);

    static LOOK_UPS: AtomicUsize = AtomicUsize::new(0);

    fn hangs(host: &str) -> std::io::Result<Vec<SocketAddr>> {
        LOOK_UPS.fetch_add(1, Ordering::SeqCst);
        match host {
            "hangs" => loop {
                std::thread::park();
            },
            _ => addresses(host),
        }
    }

    #[test]
    fn a_resolver_that_hangs_holds_one_thread_and_no_caller() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build().unwrap();
        runtime.block_on(async {
            let resolver = Resolver::new(SHORT, hangs);
            let all = (0..100).map(|_| resolver.clone().resolved("hangs".to_owned()));
            for found in futures_util::future::join_all(all).await {
                assert_eq!(found, Err(NotFound::Said("no answer of the resolver within 20ms".to_owned())));
            }
            assert_eq!(LOOK_UPS.load(Ordering::SeqCst), 1);
            // Another name gets the other thread, and the long limit gives it time.
            let other = Resolver { limit: LONG, ..resolver };
            for _ in 0..3 {
                assert!(!other.clone().resolved("127.0.0.1".to_owned()).await.unwrap().is_empty());
            }
            assert_eq!(LOOK_UPS.load(Ordering::SeqCst), 4);
            assert!(!other.pending().contains_key("127.0.0.1"));
        });
        runtime.shutdown_background();
    }

    #[tokio::test]
    async fn what_is_late_before_the_connection_is_open_was_not_sent() {
        let at = |stage: Option<Stage>| {
            let progress = Progress::until(Instant::now());
            stage.inspect(|stage| progress.enter(*stage));
            progress.watch(std::future::pending())
        };
        for (stage, rule, verdict) in [
            (None, Rule::Refused, Verdict::Retryable),
            (Some(Stage::Resolving), Rule::Unresolved, Verdict::Retryable),
            (Some(Stage::Open), Rule::Timeout, Verdict::Unknown),
        ] {
            let reply = at(stage).await;
            assert_eq!((reply.rule, reply.verdict), (rule, verdict), "{stage:?}");
        }
    }

    /// Stands for a machine that has no free port left towards a participant: the kernel gives the same error.
    #[tokio::test]
    async fn without_an_address_of_our_own_nothing_is_sent() {
        install_crypto();
        let unassigned = std::net::IpAddr::from([192, 0, 2, 1]);
        let client = builder().local_address(unassigned).build().unwrap();
        let reply = lost(&client.get("http://127.0.0.1:9/").send().await.unwrap_err());
        assert_eq!(reply.rule, Rule::Refused, "{reply:?}");
        assert!(reply.error.unwrap().message.contains("annot assign requested address"));
    }

    /// Calls an address within the time of an attempt, as a participant does.
    async fn called(client: &reqwest::Client, url: String) -> Reply {
        let sending = client.post(url).send();
        let exchange = async { lost(&sending.await.expect_err("it is never connected")) };
        Progress::until(Instant::now() + LONG).watch(exchange).await
    }

    #[test]
    fn a_client_has_the_limits_that_the_guide_names() {
        let shown = format!("{:?}", builder());
        assert!(shown.contains("connect_timeout: 10s"), "{shown}");
        assert_eq!(Resolver::of_machine().limit, Duration::from_secs(5));
    }

    /// Stands for a machine that neither accepts nor refuses a connection: the queue of its listener is full. The
    /// kernel would try for two minutes.
    #[tokio::test]
    async fn a_connection_that_does_not_open_is_given_up_at_its_limit() {
        install_crypto();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let (queued, mut count) = tokio::sync::mpsc::channel(8);
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let queued = queued.clone();
                tokio::spawn(async move {
                    let stream = TcpStream::connect(address).await;
                    let _ = queued.send(()).await;
                    std::future::pending::<()>().await;
                    drop(stream);
                })
            })
            .collect();
        // One connection more than the queue takes.
        for _ in 0..2 {
            count.recv().await.unwrap();
        }
        let client = builder_within(SHORT, Resolver::new(LONG, addresses)).build().unwrap();
        let reply = called(&client, format!("http://{address}/")).await;
        assert_eq!((reply.rule, reply.verdict), (Rule::Refused, Verdict::Retryable), "{reply:?}");
        // An error of the kernel would have a number.
        let message = reply.error.unwrap().message;
        let ours = ["operation timed out", "deadline has elapsed"];
        assert!(ours.iter().any(|end| message.ends_with(&format!("nothing was sent: {end}"))), "{message}");
        callers.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[test]
    fn a_name_that_does_not_resolve_is_given_up_at_its_limit() {
        install_crypto();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = builder_within(LONG, Resolver::new(SHORT, never)).build().unwrap();
        let reply = runtime.block_on(called(&client, "http://name/".to_owned()));
        runtime.shutdown_background();
        assert_eq!((reply.rule, reply.verdict), (Rule::Unresolved, Verdict::Retryable), "{reply:?}");
        let message = reply.error.unwrap().message;
        assert!(message.ends_with("nothing was sent: no answer of the resolver within 20ms"), "{message}");
    }

    #[test]
    fn a_connection_that_comes_too_late_is_not_used() {
        let soon = Progress::until(Instant::now() + Duration::from_secs(60));
        assert!(soon.open().is_ok());
        assert_eq!(soon.stage.load(Ordering::SeqCst), Stage::Open as u8);
        let late = Progress::until(Instant::now());
        assert!(late.open().is_err());
        assert_ne!(late.stage.load(Ordering::SeqCst), Stage::Open as u8);
    }
}
