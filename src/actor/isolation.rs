//! Suspects: sagas with a call under which processes have died so often that the next death puts it aside, and those
//! of which processes died that took them up. Owns that they are tried one at a time on a node, so that the one that
//! kills does not take its neighbours along.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
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
    /// A call of it is being tried.
    Called(Turn),
    /// It is being tried whole: processes died that took it up.
    TakenUp(Turn),
}

impl Isolated {
    /// Whether a step must wait for the saga's turn before it is taken. After a death calls begin anew when it is found
    /// out, or in their time.
    pub(super) fn holds(&self, event: &Event, next: &State) -> bool {
        match self {
            Self::Called(turn) | Self::TakenUp(turn) if !turn.0.is_closed() => false,
            Self::No | Self::Queued | Self::Called(_) | Self::TakenUp(_) => {
                matches!(event, Event::TimerFired(_) | Event::OwnerLost(_)) && suspected(next)
            }
        }
    }

    /// Whether the saga waits for its turn.
    pub(super) fn is_queued(&self) -> bool {
        matches!(self, Self::Queued)
    }

    /// Lets the next one be tried when this saga is no suspect any more. One that was tried whole keeps its turn until
    /// that is recorded.
    pub(super) fn leave(&mut self, state: &State) -> Option<Turn> {
        match self {
            Self::Called(_) | Self::TakenUp(_) if !suspected(state) => match std::mem::take(self) {
                Self::TakenUp(turn) => Some(turn),
                Self::No | Self::Queued | Self::Called(_) => None,
            },
            Self::No | Self::Queued | Self::Called(_) | Self::TakenUp(_) => None,
        }
    }
}

/// Whether so many processes died that had taken this saga up that the next one puts it aside.
pub(super) fn is_suspect(saga: &Claimed) -> bool {
    saga.deaths + 1 >= LOST_MAX
}

/// Waits for a saga's turn.
pub(super) async fn turn(isolation: Isolation, saga: Uuid) -> Turn {
    tracing::info!(saga.id = %saga, "processes died of it: it is tried alone, when it is its turn");
    // Nobody closes it; without it a suspect would be tried like any other saga.
    let permit = isolation.0.acquire_owned().await;
    let (turn, over) = oneshot::channel();
    tokio::spawn(async move {
        let _permit = permit;
        // Whichever comes first.
        let _ = tokio::time::timeout(Duration::from_millis(limits::ISOLATED_MS), over).await;
    });
    Turn(turn)
}
