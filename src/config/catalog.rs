//! Limits of the catalog.

/// Largest file of definitions or settings, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// Most bytes that a document may take in memory after its aliases are expanded.
pub const EXPANDED_BYTES_MAX: usize = 32 << 20;
/// Deepest nesting of lists and mappings in a file.
pub const DEPTH_MAX: usize = 64;
/// Most definitions in one file, separated by `---`.
pub const DOCUMENTS_MAX: usize = 256;
/// Most files that one load or check reads.
pub const FILES_MAX: usize = 4_096;
/// Most faults that one load or check reports.
pub const FAULTS_MAX: usize = 200;

/// Default time that attempts under way get to end after SIGTERM, in milliseconds.
pub const GRACE_PERIOD_MS_DEFAULT: u64 = 30_000;

/// Shortest key of a chain of a journal, in bytes.
pub const CHAIN_KEY_BYTES_MIN: usize = 16;
