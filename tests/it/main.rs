//! The one integration binary: real Postgres, real participants in other processes.

mod harness;
mod store;
mod catalog;
mod tidy;
