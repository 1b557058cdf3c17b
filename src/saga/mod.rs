//! Decides. The law of sagas, pure: no async, no clock, no chance, no I/O, no logging. Owns definitions,
//! events, states and the one function between them; doing what was decided is left to `actor`, recording it
//! to `store`.

mod advice;
mod author;
pub mod definition;
mod plan;
pub mod prospect;
mod schema;
mod trust;
mod validate;

pub mod command;
pub mod event;
pub mod outcome;
pub mod state;

pub mod key;
mod law;

mod advance;
mod approval;
pub mod attention;
mod doubt;
mod driver;
mod header;
mod late;
mod mailbox;
mod owner;
mod request;
pub mod rerun;
mod retry;
mod transition;
mod turn;

#[cfg(test)]
mod tests;

mod json;

pub use advance::{next_timer, passed_deadline};
pub use advice::doubtful_rules;
pub use approval::{Asking, Shown, asking};
pub use attention::{Attention, attention};
pub use driver::{appendable, steps_before};
pub use header::reserved_header;
pub use json::Json;
pub use law::Law;
pub use mailbox::MAILBOX_MAX;
pub use owner::{LOST_MAX, begins_before, deaths_in_a_row, suspected};
pub use plan::{Definition, Planned, in_order};
pub use request::legal_verbs;
pub use transition::{DEADLINE_PASSED, IllegalEvent, begin, outstanding, replay, transition};
pub use trust::{silent_errors, silent_errors_of_step, unsound_rules, unsound_rules_of_step};
pub use validate::{Fault, is_name};
