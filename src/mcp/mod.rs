//! The agents' door: every saga is an MCP tool that a model can call and need not understand. Owns what goes
//! over the wire: tools from definitions, calls that wait, one shape of results, who may do what. Starting
//! and waiting is the client's, what becomes of a saga the core's.
//!
//! ```text
//!   web (actix, /mcp)   stdio
//!          \              /
//!           raw: what rmcp's types drop is moved to where they keep it
//!                |
//!            session (rmcp's ServerHandler, both eras)
//!            /        |         \
//!        tools      call       verbs (saga_status, saga_cancel, saga_list)
//!     (definitions)   |  \      /
//!                  asking  report: one shape of results
//!           (approvals)  \
//!                       client
//! ```

mod auth;
mod builtin_calls;
mod builtin_tool;
mod call;
mod caller;
mod elicitation;
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
mod stdio;
mod tasks;
mod tools;
mod web;

pub use auth::{Issuer, Minted, Trust, mint};
pub use principal::{Grants, Names, Principal};
pub use server::{Config, Door};
pub use session::Session;
