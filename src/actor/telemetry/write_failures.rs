//! What the database does not take at present: a full disk, a standby, a server that is away. Owns the last
//! word of each writer of the node, for people; who writes decides by itself when to try again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::store::{Error, LaneId};

/// What was refused to whom, until something is taken again.
#[derive(Debug, Default)]
pub struct WriteFailures(Mutex<BTreeMap<LaneId, String>>);

impl WriteFailures {
    /// Something was not taken, and is tried again.
    pub(crate) fn begins(&self, lane: LaneId, error: &Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(lane, error.to_string());
    }

    /// Something was taken, or the lane is gone.
    pub(crate) fn is_over(&self, lane: LaneId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&lane);
    }

    /// Says that nothing can be recorded, and why; none while everything is taken.
    pub fn complaint(&self) -> Option<String> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, error) = refused.last_key_value()?;
        Some(format!("nothing can be recorded, so nothing is begun: {error}"))
    }
}
