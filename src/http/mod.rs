//! The HTTP door of a node: `/metrics`, `/healthz`, `/readyz`. Owns the listener, its thread and its end;
//! what is counted and what makes a node ready is said by others.

mod error;
mod routes;
mod server;

pub use error::Error;
pub use routes::Readiness;
pub use server::{Door, Mount, Server};
