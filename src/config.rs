//! Limits and defaults. Every loop, queue, batch, retry, wait and payload has its named maximum here, with unit and
//! default.

pub mod actor;
pub mod catalog;
pub mod cli;
pub mod client;
pub mod demo;
pub mod files;
pub mod http;
pub mod mcp;
pub mod participant;
pub mod postgres;
pub mod store;
