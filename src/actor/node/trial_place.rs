//! The one place on a node where a suspected poison saga runs alone. `residents/quarantine.rs` decides which saga
//! runs there; the sweep judges a death (`store/sweep.rs`).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Place for one lone trial at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TrialPlace(Arc<Semaphore>);

impl Default for TrialPlace {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl TrialPlace {
    /// Waits until the place is free. Returns none only if the semaphore is closed, and it never is.
    pub(crate) async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().acquire_owned().await.ok()
    }
}
