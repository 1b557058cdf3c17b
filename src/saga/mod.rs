//! Decides. The law of sagas, pure: no async, no clock, no chance, no I/O, no logging. Owns definitions, events, states and
//! the one function between them; doing what was decided is left to `actor`, recording it to `store`.

pub mod command;
pub mod definition;
pub mod event;
mod json;
pub mod outcome;
pub mod state;

pub use json::Json;
