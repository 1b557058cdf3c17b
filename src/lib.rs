//! amends: an embedded saga runtime for Rust on Postgres.

pub mod saga;

pub mod participant;
pub mod store;

pub mod actor;
pub mod catalog;
pub mod client;

pub mod http;
pub mod mcp;

pub mod cli;
pub mod runtime;

mod bench;
pub mod demo;
pub mod program;

pub mod barrier;
pub mod boundary;
pub mod config;
mod evaluation;
pub mod files;
pub mod metrics;
mod peer;
mod place;
pub mod postgres;
pub mod step_transaction;
pub mod trace;

/// The Rust examples of the README, compiled by `cargo test`.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
