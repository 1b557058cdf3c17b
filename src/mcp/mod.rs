//! The MCP server for agents: every saga definition is a tool. A model can call a tool without knowledge of sagas.
//! Owns what goes over the wire: tools from definitions, calls that wait, one shape of results, and who may do what.
//! `client` starts sagas and waits for them. The core decides what becomes of a saga.
//!
//! MCP has two eras, and the server speaks both. The old era is version 2025-11-25 and older. The new era is version
//! 2026-07-28 and newer; it has no handshake.
//!
//! ```text
//!   web (actix, /mcp)   stdio
//!          \              /
//!           message_shim: moves what rmcp's types drop to where rmcp keeps it
//!                |
//!            session (rmcp's ServerHandler, both eras)
//!            /        |         \
//!        tools      call       builtin_calls (saga_status, saga_cancel, saga_list)
//!     (definitions)   |  \      /
//!            elicitation  report: one shape of results
//!            (approvals)  \
//!                       client
//! ```

mod auth;
mod builtin_calls;
mod builtin_tool;
mod call;
mod caller;
mod elicitation;
mod intake;
mod key;
mod listener;
mod message_shim;
mod normalize;
mod phrasing;
mod principal;
mod progress;
mod question;
mod report;
mod schema;
mod server;
mod session;
mod session_id;
mod sessions;
mod stdio;
mod tasks;
mod tools;
mod web;

pub use auth::{Issuer, Minted, Trust, mint};
pub use principal::{Grants, Names, Principal};
pub use server::{Config, Door};
pub use session::Session;
