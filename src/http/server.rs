//! Starts and stops the HTTP server: its listener and its thread. Accepts connections within the limits of
//! `connections.rs`, and closes each that is late.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io};

use actix_http::HttpService;
use actix_service::{IntoServiceFactory as _, Service, ServiceFactory as _, ServiceFactoryExt as _, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Payload, ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{Data, ServiceConfig};
use actix_web::{App, HttpMessage as _, rt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Error;
use super::connection::{Answer, Connection, Socket, arriving};
use super::connections::Connections;
use super::routes::{Readiness, routes};
use crate::config::http::{ACCEPT_PAUSE_MS, DEADLINE_LOOK_MS, KEEP_ALIVE_S, REQUEST_HEAD_S_MAX, STOP_S_MAX, UPKEEP_S};
use crate::files;
use crate::metrics::{self, Exposition};
use crate::peer::Peer;

/// The answer to a connection for which there is no room.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 53\r\n\
    Content-Type: text/plain\r\n\r\nthis node has too many connections; try again in 1 s\n";

/// What the HTTP server serves.
#[derive(Clone)]
pub struct Door {
    /// The metrics, or the reason why there are none.
    pub metrics: Result<Exposition, metrics::Error>,
    /// Readiness check of the node.
    pub readiness: Readiness,
    /// What the server shows of the node.
    pub shows: Shows,
    /// Further routes on the same port.
    pub mounts: Vec<Mount>,
}

/// What an HTTP server shows of its node on `/metrics`, `/healthz` and `/readyz`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shows {
    /// Everything: who reaches it may know the names of definitions and steps, and why the node is not ready.
    #[default]
    Everything,
    /// Metrics without names, and whether the node is ready, without the reasons.
    NoNames,
    /// Nothing: another address shows it.
    Nothing,
}

/// Adds further routes to the server.
pub type Mount = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("metrics", &self.metrics).finish_non_exhaustive()
    }
}

/// A running HTTP server. Dropping it stops it without waiting for open requests.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    /// Ends the server, with or without waiting for open requests.
    stop: Option<oneshot::Sender<bool>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Server {
    /// Listens on an address and serves it from a thread of its own. Port 0 takes any free port.
    pub fn start(address: SocketAddr, door: Door) -> Result<Self, Error> {
        let listener = TcpListener::bind(address).map_err(|source| Error::Bind { address, source })?;
        listener.set_nonblocking(true).map_err(Error::Server)?;
        let address = listener.local_addr().map_err(Error::Server)?;
        let (up, is_up) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("amends-http".to_owned())
            .spawn(move || rt::System::new().block_on(serve(listener, door, &up, stopped)))
            .map_err(Error::Server)?;
        match is_up.recv() {
            Ok(()) => Ok(Self { address, stop: Some(stop), thread: Some(thread) }),
            // The thread ended before it was up.
            Err(_) => Err(Error::Server(join(thread).err().unwrap_or_else(|| io::ErrorKind::Other.into()))),
        }
    }

    /// Returns the address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening, lets open requests end for up to `STOP_S_MAX` seconds, and waits for the thread.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end(true).map_err(Error::Server)
    }

    fn end(&mut self, graceful: bool) -> io::Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        if let Some(stop) = self.stop.take() {
            // A server that has ended by itself does not hear it; joining its thread returns its error.
            let _ = stop.send(graceful);
        }
        join(thread)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.end(false) {
            tracing::error!(%error, "the HTTP server did not stop cleanly");
        }
    }
}

fn join(thread: JoinHandle<io::Result<()>>) -> io::Result<()> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

async fn serve(
    listener: TcpListener,
    door: Door,
    up: &mpsc::Sender<()>,
    mut stopped: oneshot::Receiver<bool>,
) -> io::Result<()> {
    if let (Ok(exposition), true) = (door.metrics.clone(), door.shows != Shows::Nothing) {
        rt::spawn(async move {
            let mut pause = rt::time::interval(Duration::from_secs(UPKEEP_S));
            loop {
                pause.tick().await;
                exposition.upkeep();
            }
        });
    }
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (mounts, shows) = (door.mounts.clone(), door.shows);
    let app = App::new().app_data(Data::new(door)).wrap(from_fn(follow)).configure(move |config| {
        if shows != Shows::Nothing {
            routes(config);
        }
        mounts.iter().for_each(|mount| mount(config));
    });
    let app = app.into_factory().map_err(|error: actix_web::Error| error.error_response());
    let service = HttpService::<Socket, _, _>::build()
        // A client that has closed its side is gone. Streams must notice this before their next write.
        .h1_allow_half_closed(false)
        .keep_alive(Duration::from_secs(KEEP_ALIVE_S))
        .client_request_timeout(Duration::from_secs(REQUEST_HEAD_S_MAX))
        .on_connect_ext(|socket: &Socket, extensions| {
            extensions.insert(Rc::clone(&socket.connection));
        })
        .h1(map_config(app, |()| AppConfig::default()))
        .new_service(())
        .await
        .map_err(|()| io::Error::other("its routes cannot be set up"))?;
    let (service, connections) = (Rc::new(service), Rc::new(Connections::within_limits()));
    tracing::debug!(connections = connections.most(), "the HTTP server accepts connections");
    // `start` waits for this.
    let _ = up.send(());
    loop {
        let accepted = tokio::select! {
            biased;
            // A dropped sender means a stop without grace, too.
            graceful = &mut stopped => return end(listener, &connections, graceful.unwrap_or(false)).await,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => match connections.admit(Peer::new(address.ip())) {
                Some((id, connection)) => {
                    let socket = Socket::new(stream, Rc::clone(&connection));
                    let serving = service.call((socket, Some(address)));
                    rt::spawn(attend(serving, id, connection, Rc::clone(&connections)));
                    // It is read before the next one is accepted: a request that is here already is never evicted.
                    tokio::task::yield_now().await;
                }
                None => refuse(&stream),
            },
            Err(error) => not_accepted(&error, &listener, &connections).await,
        }
    }
}

/// Answers at once that there is no room. The client may not read it; then it sees a closed connection.
fn refuse(stream: &TcpStream) {
    let _ = stream.try_write(BUSY);
}

/// Makes room if there is no file descriptor for a connection that waits. An open connection that waits for nothing is
/// worth less. The system tells of the shortage even if no connection waits.
async fn not_accepted(error: &io::Error, listener: &tokio::net::TcpListener, connections: &Connections) {
    if !files::is_shortage(error) {
        tracing::debug!(%error, "a connection was not accepted");
    } else if files::is_readable(listener.as_fd()) {
        metrics::FILES_SHORT.with([]).increment(1);
        connections.evict(None);
        if files::note("accept a connection") {
            tracing::warn!(%error, "no free file descriptor for a connection; raise the node's limit of open files");
        }
    }
    sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
}

/// Serves a connection until it ends, is late, or makes room for another.
async fn attend<Ended, E: fmt::Debug>(
    serving: impl Future<Output = Result<Ended, E>>,
    id: u64,
    connection: Rc<Connection>,
    connections: Rc<Connections>,
) {
    let mut look = interval(Duration::from_millis(DEADLINE_LOOK_MS));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut serving = std::pin::pin!(serving);
    loop {
        tokio::select! {
            ended = &mut serving => {
                if let Err(error) = ended {
                    tracing::debug!(?error, "a connection ended early");
                }
                break;
            }
            () = connection.over.notified() => break,
            _ = look.tick() => if connection.is_overdue(Instant::now()) {
                metrics::CONNECTIONS_CLOSED.with(["too_slow".into()]).increment(1);
                break;
            }
        }
    }
    connections.ended(id);
}

/// Stops listening. With grace, waits until nothing is owed to any connection, for up to `STOP_S_MAX` seconds.
async fn end(listener: tokio::net::TcpListener, connections: &Connections, graceful: bool) -> io::Result<()> {
    drop(listener);
    let since = Instant::now();
    while graceful && connections.close_idle() > 0 && since.elapsed() < Duration::from_secs(STOP_S_MAX) {
        sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
    }
    Ok(())
}

/// Follows a request on its connection. An answer to a request that was not read to its end closes the connection.
async fn follow(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let Some(connection) = request.conn_data::<Rc<Connection>>().cloned() else {
        return Err(actix_web::error::ErrorInternalServerError("the request has no connection\n"));
    };
    let body = request.take_payload();
    let has_body = !matches!(body, Payload::None);
    connection.head_arrived(has_body);
    request.set_payload(if has_body { arriving(body, Rc::clone(&connection)) } else { body });
    match next.call(request).await {
        Ok(mut answered) => {
            if !connection.answer_began() {
                answered.response_mut().head_mut().set_connection_type(ConnectionType::Close);
            }
            Ok(answered.map_body(|_, body| Answer::new(body, connection)))
        }
        Err(error) => {
            connection.failed();
            Err(error)
        }
    }
}
