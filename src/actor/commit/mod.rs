//! The committer of a lane: writes rows of many sagas in one batch, and claims, parks and releases sagas.

pub(super) mod committer;
pub(super) mod lane_handle;
pub(super) mod messages;
