//! The one integration binary: real Postgres, real participants in other processes.

mod catalog;
mod catalog_fuzz;
mod harness;
mod runtime;
mod store;
mod tidy;
