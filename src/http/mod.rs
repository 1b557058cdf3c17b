//! HTTP server of a node: `/metrics`, `/healthz`, `/readyz`, and the routes that the caller mounts. Owns the
//! listener, its thread and its shutdown. The caller supplies the metrics and the readiness check.

mod connection;
mod connections;
mod error;
mod routes;
mod server;

pub use error::Error;
pub use routes::Readiness;
pub use server::{Door, Mount, Server, Shows};
