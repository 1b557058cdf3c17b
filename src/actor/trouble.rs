//! What the database does not take at present: a full disk, a standby, a server that is away. Owns the last
//! word of each writer of the node, for people; who writes decides by itself when to try again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::store::{Error, LaneId};

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Writer {
    /// The beats.
    Heart,
    /// The batches of a lane.
    Lane(LaneId),
}

/// What was refused to whom, until something is taken again.
#[derive(Debug, Default)]
pub struct Trouble(Mutex<BTreeMap<Writer, String>>);

impl Trouble {
    /// Something was not taken, and is tried again.
    pub(super) fn begins(&self, writer: Writer, error: &Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(writer, error.to_string());
    }

    /// Something was taken, or the writer is gone.
    pub(super) fn is_over(&self, writer: Writer) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&writer);
    }

    /// Says that nothing can be recorded, and why; none while everything is taken.
    pub fn complaint(&self) -> Option<String> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The batches' words come last, and matter most.
        let (_, error) = refused.last_key_value()?;
        Some(format!("nothing can be recorded, so nothing is begun: {error}"))
    }
}
