//! What can go wrong with the HTTP door. Owns the words.

use std::io;
use std::net::SocketAddr;

/// Why the HTTP door is not open.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", advice(source))]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The server could not be started, or ended by itself.
    #[error("the HTTP server does not run: {0}")]
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
