//! Limits of the command line.

/// Shortest pause between two polls for the end of a saga or the outcome of a request, in milliseconds.
pub const POLL_MS_MIN: u64 = 10;
/// Longest such pause, in milliseconds.
pub const POLL_MS_MAX: u64 = 500;
/// Most characters of a value that people see, unless they ask for all of it.
pub const VALUE_CHARS_MAX: usize = 300;

/// Most faults that `amends verify` shows; the others are counted.
pub const VERIFY_SHOWN_MAX: usize = 1_000;
