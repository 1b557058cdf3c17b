//! Starts and stops the HTTP server: its listener and its thread.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use actix_web::dev::ServerHandle;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{App, HttpServer, rt};

use super::Error;
use super::routes::{Readiness, routes};
use crate::config::http::{KEEP_ALIVE_S, REQUEST_HEAD_S_MAX, STOP_S_MAX, UPKEEP_S, WORKERS};
use crate::metrics::{self, Exposition};

/// What the HTTP server serves.
#[derive(Clone)]
pub struct Door {
    /// The metrics, or the reason why there are none.
    pub metrics: Result<Exposition, metrics::Error>,
    /// Readiness check of the node.
    pub readiness: Readiness,
    /// Further routes on the same port.
    pub mounts: Vec<Mount>,
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
    handle: ServerHandle,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Server {
    /// Listens on an address and serves it from a thread of its own. Port 0 takes any free port.
    pub fn start(address: SocketAddr, door: Door) -> Result<Self, Error> {
        let listener = TcpListener::bind(address).map_err(|source| Error::Bind { address, source })?;
        let address = listener.local_addr().map_err(Error::Server)?;
        let (up, is_up) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("amends-http".to_owned())
            .spawn(move || rt::System::new().block_on(serve(listener, door, &up)))
            .map_err(Error::Server)?;
        match is_up.recv() {
            Ok(handle) => Ok(Self { address, handle, thread: Some(thread) }),
            // The thread ended before it sent its handle.
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
        // The call itself sends the command; its future only waits. Joining the thread waits too, and returns its
        // error.
        drop(self.handle.stop(graceful));
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

async fn serve(listener: TcpListener, door: Door, up: &mpsc::Sender<ServerHandle>) -> io::Result<()> {
    if let Ok(exposition) = door.metrics.clone() {
        rt::spawn(async move {
            let mut pause = rt::time::interval(Duration::from_secs(UPKEEP_S));
            loop {
                pause.tick().await;
                exposition.upkeep();
            }
        });
    }
    let door = Data::new(door);
    let server = HttpServer::new(move || {
        let mounted = door.mounts.clone();
        App::new().app_data(door.clone()).configure(routes).configure(move |config| {
            mounted.iter().for_each(|mount| mount(config));
        })
    })
    .workers(WORKERS)
    .disable_signals()
    // A client that has closed its side is gone. Streams must notice this before their next write.
    .h1_allow_half_closed(false)
    .keep_alive(Duration::from_secs(KEEP_ALIVE_S))
    .client_request_timeout(Duration::from_secs(REQUEST_HEAD_S_MAX))
    .shutdown_timeout(STOP_S_MAX)
    .listen(listener)?
    .run();
    // `start` waits for this handle.
    let _ = up.send(server.handle());
    server.await
}
