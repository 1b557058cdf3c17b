//! Decides. The law of sagas, pure: no async, no clock, no chance, no I/O, no logging. Owns definitions,
//! events, states and the one function between them; doing what was decided is left to `actor`, recording it
//! to `store`.

mod author;
pub mod definition;
mod plan;
mod schema;
mod validate;

pub mod command;
pub mod event;
pub mod outcome;
pub mod state;

mod advance;
mod approval;
pub mod attention;
mod doubt;
mod header;
mod owner;
mod request;
pub mod rerun;
mod retry;
mod transition;
mod turn;

#[cfg(test)]
mod tests;

mod json;

pub use advance::next_timer;
pub use approval::{Asking, Shown, asking};
pub use attention::{Attention, attention};
pub use header::reserved_header;
pub use json::Json;
pub use owner::{LOST_MAX, deaths_in_a_row, suspected};
pub use plan::{Definition, Planned, in_order};
pub use request::{MAILBOX_MAX, legal_verbs};
pub use transition::{IllegalEvent, begin, outstanding, replay, transition};
pub use validate::{Fault, is_name};
