//! Limits of the command line.

/// Shortest pause between two looks at what others do, in milliseconds.
pub const POLL_MS_MIN: u64 = 10;
/// Longest pause between two looks, in milliseconds.
pub const POLL_MS_MAX: u64 = 500;
/// Most characters of a value that are shown to people, unless they ask for all of it.
pub const VALUE_CHARS_MAX: usize = 300;
