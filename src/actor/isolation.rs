//! Suspects: sagas with a call under which processes have died so often that the next death puts it aside. Owns that
//! they are tried one at a time on a node, so that the one that kills does not take its neighbours along.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::saga::event::Event;
use crate::saga::state::State;
use crate::saga::suspected;

/// The one place on a node where suspects are tried.
#[derive(Clone, Debug)]
pub struct Isolation(Arc<Semaphore>);

impl Default for Isolation {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// How a saga stands to that place.
#[derive(Debug, Default)]
pub(super) enum Isolated {
    /// It has nothing to do with it.
    #[default]
    No,
    /// It waits for its turn, and does nothing by itself meanwhile.
    Queued,
    /// It is being tried.
    Alone { _permit: Box<OwnedSemaphorePermit> },
}

impl Isolated {
    /// Whether a step must wait for the saga's turn before it is taken. After a death calls begin anew when it is found
    /// out, or in their time.
    pub(super) fn holds(&self, event: &Event, next: &State) -> bool {
        match self {
            Self::Alone { .. } => false,
            Self::No | Self::Queued => {
                matches!(event, Event::TimerFired(_) | Event::OwnerLost(_)) && suspected(next)
            }
        }
    }

    /// Whether the saga waits for its turn.
    pub(super) fn is_queued(&self) -> bool {
        matches!(self, Self::Queued)
    }

    /// Lets the next one be tried: what has not killed its process by now hangs.
    pub(super) fn is_over(&mut self) {
        if matches!(self, Self::Alone { .. }) {
            *self = Self::No;
        }
    }

    /// Lets the next one be tried when this saga is no suspect any more.
    pub(super) fn leave(&mut self, state: &State) {
        if matches!(self, Self::Alone { .. }) && !suspected(state) {
            *self = Self::No;
        }
    }
}

/// Waits for a saga's turn.
pub(super) async fn turn(isolation: Isolation, saga: Uuid) -> Isolated {
    tracing::info!(saga.id = %saga, "processes died during its call: it is tried alone, when it is its turn");
    // Nobody closes it; without it a suspect would be tried like any other saga.
    let permit = isolation.0.acquire_owned().await.ok();
    permit.map_or(Isolated::No, |permit| Isolated::Alone { _permit: Box::new(permit) })
}
