//! The one integration binary: real Postgres, real participants in other processes.

mod catalog;
mod catalog_fuzz;
mod cli;
mod demo;
mod demo_definition;
mod demo_participant;
mod embedded;
mod harness;
mod http;
mod proxy;
mod runtime;
mod store;
mod tidy;
