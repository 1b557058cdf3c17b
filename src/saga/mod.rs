//! The rules of sagas, as a pure core: no async, clock, randomness, I/O or logging. Owns definitions, events, states
//! and the transition function between them. `actor` carries the commands out, and `store` records the events.

mod advice;
mod builder;
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

mod bucket;
mod concurrency_key;
pub mod key;
mod law;

mod advance;
mod agenda;
mod approval;
mod asker;
pub mod attention;
mod doubt;
mod driver;
mod late;
mod mailbox;
mod owner_loss;
mod quota;
mod request;
pub mod rerun;
mod reserved_headers;
mod retry;
pub mod steps;
pub mod tally;
mod traits;
mod transition;
mod transition_context;

#[cfg(test)]
mod tests;

mod json;

pub use advance::{next_timer, passed_deadline};
pub use advice::doubtful_rules;
pub use approval::{Asking, Shown, asking};
pub use asker::Asker;
pub use attention::{Attention, attention};
pub use bucket::Bucket;
pub use concurrency_key::concurrency_key;
pub use driver::{appendable, steps_before};
pub use json::Json;
pub use law::Law;
pub use mailbox::MAILBOX_MAX;
pub use owner_loss::{LOST_MAX, begins_before, deaths_in_a_row, suspected};
pub use plan::{Appended, Definition, PlannedStep, canonical};
pub use request::legal_verbs;
pub use reserved_headers::reserved_header;
pub(crate) use schema::{Schema, options as schema_options};
pub use transition::{DEADLINE_PASSED, IllegalEvent, begin, outstanding, replay, transition};
pub use trust::{silent_errors, silent_errors_of_step, unsound_rules, unsound_rules_of_step};
pub use validate::{Fault, is_name};
