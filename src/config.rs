//! Limits and defaults: every loop, queue, batch, retry, wait and payload has its named maximum here, with
//! unit and default.

/// Limits of the store.
pub mod store {}

/// Limits of participants.
pub mod participant {}

/// Limits of the catalog.
pub mod catalog {}

/// Limits of the actors.
pub mod actor {}

/// Limits of the embedded Postgres.
pub mod postgres {}

/// Limits of the demo and the bench.
pub mod demo {}
