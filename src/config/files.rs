//! Limits of file descriptors.

/// Most open files to which a node raises its own limit.
pub const FILES_MAX: u64 = 65_536;
/// First pause between two looks whether a file descriptor is free again, in milliseconds; doubles.
pub const FILES_LOOK_MS: u64 = 50;
/// Longest such pause, in milliseconds.
pub const FILES_LOOK_MS_MAX: u64 = 1_000;
/// Longest wait of a call for a free file descriptor, in milliseconds. Then its saga decides again.
pub const FILES_WAIT_MS_MAX: u64 = 60_000;
/// How long a node without a free file descriptor claims no sagas and says that it is not ready, in milliseconds.
pub const FILES_SHORT_MS: u64 = 5_000;
