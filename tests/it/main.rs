//! The one integration binary: real Postgres, real participants in other processes.

mod harness;
mod runtime;
mod store;
mod tidy;
