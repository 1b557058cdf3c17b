//! The latest write failure of each lane, for the readiness check: a full disk, a standby, a server that is down.
//! Leaves retries to the lane.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::store::{Error, LaneId};

/// Latest write failure by lane. A lane has none once a batch or a claim succeeds again.
#[derive(Debug, Default)]
pub struct WriteFailures(Mutex<BTreeMap<LaneId, String>>);

impl WriteFailures {
    /// Records that a batch or a claim of the lane failed; it will be retried.
    pub(crate) fn begins(&self, lane: LaneId, error: &Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(lane, error.to_string());
    }

    /// Clears the failure of a lane: a batch or a claim succeeded, or the lane is gone.
    pub(crate) fn is_over(&self, lane: LaneId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&lane);
    }

    /// Returns a complaint that nothing can be recorded, with the error of one lane; none while no lane has a
    /// failure.
    pub fn complaint(&self) -> Option<String> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, error) = refused.last_key_value()?;
        Some(format!("nothing can be recorded, so no work starts: {error}"))
    }
}
