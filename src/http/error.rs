//! Errors of the node's HTTP server, with their texts.

use std::io;
use std::net::SocketAddr;

/// Reason why the HTTP server does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server cannot listen on the address.
    #[error("cannot listen on {address}: {source}{}", advice(source))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The server did not start, or ended by itself.
    #[error("the HTTP server failed: {0}")]
    Server(io::Error),
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => "; end the program that listens there, or choose another address",
        io::ErrorKind::AddrNotAvailable => "; expected an address of this machine, or 0.0.0.0 for all of them",
        io::ErrorKind::PermissionDenied => "; choose a port above 1023",
        _ => "",
    }
}
