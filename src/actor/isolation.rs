//! Suspects: sagas with a call under which processes have died so often that the next death puts it aside, and those
//! of which processes died that took them up. Owns that they are tried one at a time on a node, so that the one that
//! kills does not take its neighbours along.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use uuid::Uuid;

use crate::config::actor as limits;
use crate::saga::event::Event;
use crate::saga::state::State;
use crate::saga::{LOST_MAX, suspected};
use crate::store::Claimed;

/// The one place on a node where suspects are tried.
#[derive(Clone, Debug)]
pub struct Isolation(Arc<Semaphore>);

impl Default for Isolation {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// The place, held by one saga.
#[derive(Debug)]
pub(super) struct Place {
    // Nobody closes it; without it a suspect would be tried like any other saga.
    permit: Option<OwnedSemaphorePermit>,
}

/// A saga's turn at that place: until this is dropped, or for so long that what has not killed its process by then
/// hangs.
#[derive(Debug)]
pub(super) struct Turn(oneshot::Sender<Infallible>);

/// How a saga stands to that place.
#[derive(Debug, Default)]
pub(super) enum Isolated {
    /// It has nothing to do with it.
    #[default]
    No,
    /// It waits for its turn, and does nothing by itself meanwhile.
    Queued,
    /// It is being tried.
    Alone(Turn),
}

impl Isolated {
    /// Whether a step must wait for the saga's turn before it is taken. After a death calls begin anew when it is found
    /// out, or in their time.
    pub(super) fn holds(&self, event: &Event, next: &State) -> bool {
        match self {
            Self::Alone(turn) if !turn.0.is_closed() => false,
            Self::No | Self::Queued | Self::Alone(_) => {
                matches!(event, Event::TimerFired(_) | Event::OwnerLost(_)) && suspected(next)
            }
        }
    }

    /// Whether the saga waits for its turn.
    pub(super) fn is_queued(&self) -> bool {
        matches!(self, Self::Queued)
    }

    /// Lets the next one be tried when this saga is no suspect any more.
    pub(super) fn leave(&mut self, state: &State) {
        if matches!(self, Self::Alone(_)) && !suspected(state) {
            *self = Self::No;
        }
    }
}

/// Whether so many processes died that had taken this saga up that the next one puts it aside.
pub(super) fn is_suspect(saga: &Claimed) -> bool {
    saga.deaths + 1 >= LOST_MAX
}

/// Waits until no other suspect is at the place.
pub(super) async fn place(isolation: Isolation, saga: Uuid) -> Place {
    tracing::info!(saga.id = %saga, "processes died of it: it is tried alone, when it is its turn");
    Place { permit: isolation.0.acquire_owned().await.ok() }
}

impl Place {
    /// Begins a turn. When it is over, the next one waits until `end` is done, too.
    pub(super) fn begin(self, end: impl Future<Output = ()> + 'static) -> Turn {
        let (turn, over) = oneshot::channel();
        actix::spawn(async move {
            // Whichever comes first.
            let _ = tokio::time::timeout(Duration::from_millis(limits::ISOLATED_MS), over).await;
            end.await;
            drop(self.permit);
        });
        Turn(turn)
    }
}
