//! The one integration binary: real Postgres, real participants in other processes.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands, in its functions too")]

mod cli;
mod embedded;
mod harness;
mod http;
mod store;
mod tidy;
