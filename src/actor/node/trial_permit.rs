//! The permit under which a suspected poison saga runs alone: one a node. `residents/quarantine.rs` decides which saga
//! gets it; the sweep judges a death (`store/sweep.rs`).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permit for one lone trial at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TrialPermit(Arc<Semaphore>);

impl Default for TrialPermit {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl TrialPermit {
    /// Waits until the permit is free. Returns none only if the semaphore is closed, and it never is.
    pub(crate) async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().acquire_owned().await.ok()
    }
}
