//! The one place on a node where a suspected poison saga runs alone. Who is tried there, and what a death then means,
//! is `residents/quarantine.rs`.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for one lone trial at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TrialPlace(Arc<Semaphore>);

impl Default for TrialPlace {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl TrialPlace {
    /// Waits until the place is free. None only if it were closed, and nothing closes it.
    pub(crate) async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().acquire_owned().await.ok()
    }
}
