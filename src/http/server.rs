//! The listener and its thread. Owns start and end.

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

/// What the HTTP door shows.
#[derive(Clone)]
pub struct Door {
    /// The metrics, or why there are none.
    pub metrics: Result<Exposition, metrics::Error>,
    /// What keeps the node from taking sagas.
    pub readiness: Readiness,
    /// Further doors on the same port.
    pub mounts: Vec<Mount>,
}

/// Adds the routes of another door.
pub type Mount = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("metrics", &self.metrics).finish_non_exhaustive()
    }
}

/// A running HTTP server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Server {
    /// Listens on an address (port 0: any free one) and serves from a thread of its own.
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
            // The thread has ended without a handle.
            Err(_) => Err(Error::Server(join(thread).err().unwrap_or_else(|| io::ErrorKind::Other.into()))),
        }
    }

    /// Returns the address that is listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening, lets requests end and waits for it.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end(true).map_err(Error::Server)
    }

    fn end(&mut self, graceful: bool) -> io::Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // The returned future only waits; the command is sent by the call. The thread's end says more.
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
    // A client that has closed its end is gone, and streams must hear of it before they next write.
    .h1_allow_half_closed(false)
    .keep_alive(Duration::from_secs(KEEP_ALIVE_S))
    .client_request_timeout(Duration::from_secs(REQUEST_HEAD_S_MAX))
    .shutdown_timeout(STOP_S_MAX)
    .listen(listener)?
    .run();
    // The receiver waits for exactly this.
    let _ = up.send(server.handle());
    server.await
}
