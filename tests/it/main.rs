//! The one integration binary: real Postgres, real participants in other processes.

mod harness;
mod store;
mod catalog;
mod catalog_fuzz;
mod tidy;
