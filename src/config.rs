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
pub mod demo {
    use std::time::Duration;

    /// Most connections of one participant process to its ledger; slow calls hold theirs for as long as they are slow.
    pub const LEDGER_CONNECTIONS_MAX: usize = 12;
    /// Longest wait for one of them.
    pub const LEDGER_WAIT: Duration = Duration::from_secs(10);
    /// Longest silence in place of a lost answer, if the caller never gives up.
    pub const SILENCE_MAX: Duration = Duration::from_secs(60);
    /// How long a participant that was told to end lets late effects land.
    pub const DRAIN: Duration = Duration::from_secs(3);
}
