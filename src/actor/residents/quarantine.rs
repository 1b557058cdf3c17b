//! Quarantine: runs suspected poison sagas one at a time per node, so that a crash takes no other saga down. A mark is
//! durable before such a saga moves, and a death under the mark counts against that saga alone. Owns the mark's
//! beginning and end; the sweep judges what a death means (`store/sweep.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uuid::Uuid;

use crate::actor::node::context::Node;
use crate::actor::node::waits::Wait;
use crate::config::actor as limits;
use crate::config::store::{SILENT_DEATHS_MAX, TRIAL_PAUSES_MS};
use crate::saga::event::Event;
use crate::saga::state::State;
use crate::saga::{LOST_MAX, deaths_in_a_row, suspected};
use crate::store::{Claimed, Error, LaneId, Trial};

/// What a saga under suspicion waits for, as people read it.
pub(crate) const LONE_TRIAL: &str = "its lone trial, since processes died during a call of it";

/// A marked saga at that place.
pub(crate) struct Trying {
    node: Arc<Node>,
    lane: LaneId,
    saga: Uuid,
    // Nothing closes it; without it a suspect would be tried like any other saga.
    permit: Option<OwnedSemaphorePermit>,
    /// The mark may be there.
    is_marked: bool,
}

/// What comes of asking for a lone trial.
pub(crate) enum Asked {
    /// It is marked and alone.
    Alone(Trying),
    /// It was tried often enough.
    Convicted(Trying),
    /// The lane does not own it.
    NotOurs,
    /// Nothing is marked; it is to be asked again later.
    Later(String),
}

/// A trial under way: it ends when this is dropped, with an acquittal unless something else is said. It is
/// alone no longer than it was given time.
#[derive(Debug)]
pub(crate) struct LoneTrial {
    is_alone: Arc<AtomicBool>,
    showed_nothing: Option<oneshot::Sender<()>>,
}

/// How a saga stands to that place.
#[derive(Debug, Default)]
pub(crate) enum Confinement {
    /// It has nothing to do with it.
    #[default]
    No,
    /// It waits for its trial, and does nothing by itself meanwhile.
    Queued,
    /// It is being tried.
    Alone(LoneTrial),
    /// It was tried, and is about to say so in its journal.
    Convicted(LoneTrial),
}

impl Confinement {
    /// Whether a step must wait for a lone trial before it is taken. After a death calls begin again when it
    /// is found out, or in their time.
    pub(crate) fn holds(&self, event: &Event, next: &State) -> bool {
        match self {
            Self::Alone(trial) | Self::Convicted(trial) if trial.is_alone.load(Ordering::Acquire) => false,
            Self::No | Self::Queued | Self::Alone(_) | Self::Convicted(_) => {
                matches!(event, Event::TimerFired(_) | Event::OwnerLost(_)) && suspected(next)
            }
        }
    }

    /// Whether the saga waits for its trial.
    pub(crate) fn is_queued(&self) -> bool {
        matches!(self, Self::Queued)
    }

    /// Whether lone trials have shown that a call of it kills its process.
    pub(crate) fn is_convicted(&self) -> bool {
        matches!(self, Self::Convicted(_))
    }

    /// Waits for a trial; one before has shown nothing yet.
    pub(crate) fn queue(&mut self) {
        if let Self::Alone(trial) | Self::Convicted(trial) = std::mem::replace(self, Self::Queued) {
            trial.let_be();
        }
    }

    /// Ends the trial when what it was about is over. A call under which processes died, and whose next
    /// attempt is not due yet, is not cleared by that.
    pub(crate) fn leave(&mut self, state: &State) {
        if !matches!(self, Self::Alone(_) | Self::Convicted(_)) || suspected(state) {
            return;
        }
        if let Self::Alone(trial) | Self::Convicted(trial) = std::mem::take(self)
            && deaths_in_a_row(state) + 1 >= LOST_MAX
        {
            trial.let_be();
        }
    }
}

impl LoneTrial {
    fn let_be(mut self) {
        if let Some(showed_nothing) = self.showed_nothing.take() {
            // The trial may be over.
            let _ = showed_nothing.send(());
        }
    }
}

/// Whether so many processes died that had this saga and wrote no row of it that it is read alone.
pub(crate) fn is_suspect(saga: &Claimed) -> bool {
    saga.deaths >= u32::from(SILENT_DEATHS_MAX.unsigned_abs())
}

/// Waits for the place and for the pause after the last death, then marks the saga. `is_first`: it has not been
/// tried since it is under suspicion.
pub(crate) async fn ask(node: &Arc<Node>, lane: LaneId, saga: Uuid, is_first: bool) -> Asked {
    loop {
        let permit = node.trial_place.acquire().await;
        let mut trying = Trying { node: node.clone(), lane, saga, permit, is_marked: true };
        match node.store.try_suspect(lane, saga, is_first).await {
            Ok(Trial::Marked) => {
                tracing::info!(saga.id = %saga, "processes died of it, perhaps: it is tried alone");
                return Asked::Alone(trying);
            }
            Ok(Trial::Convicted) => return Asked::Convicted(trying),
            Ok(Trial::NotOurs) => {
                trying.is_marked = false;
                return Asked::NotOurs;
            }
            Ok(Trial::NotYet(pause)) => {
                trying.is_marked = false;
                drop(trying);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            // Its row is locked: nothing was written.
            Err(Error::Busy(why)) => {
                trying.is_marked = false;
                return Asked::Later(why);
            }
            Err(error) => {
                // The answer may be lost, and the mark there.
                trying.let_be(false).await;
                return Asked::Later(error.to_string());
            }
        }
    }
}

/// Waits for the lone trial of a call during which so many processes died in a row.
pub(crate) async fn ask_for_call(node: Arc<Node>, lane: LaneId, saga: Uuid, deaths: u32) -> Confinement {
    let is_first = deaths < LOST_MAX;
    let _listed = node.waits.list(&node.lease.clock, Wait::of_saga(saga, LONE_TRIAL));
    if is_first {
        let pause = crate::boundary::trial_pause_ms().unwrap_or(TRIAL_PAUSES_MS[0]);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    loop {
        // It goes on without its actor: a mark that was asked for is cleared, too.
        let asking = node.clone();
        let asked = actix::spawn(async move { ask(&asking, lane, saga, is_first).await });
        match asked.await.unwrap_or(Asked::NotOurs) {
            Asked::Alone(trying) => return Confinement::Alone(trying.begin(alone_ms(deaths))),
            Asked::Convicted(trying) => return Confinement::Convicted(trying.begin(limits::ISOLATED_MS)),
            // Its lane is dead, and so is whatever waits here.
            Asked::NotOurs => return Confinement::Queued,
            Asked::Later(why) => {
                tracing::warn!(saga.id = %saga, why, "not marked for its trial yet");
                tokio::time::sleep(Duration::from_millis(limits::RESEND_PAUSE_MAX_MS)).await;
            }
        }
    }
}

/// How long a call is alone: longer with each death, so that what kills late is found out, too.
fn alone_ms(deaths: u32) -> u64 {
    let doublings = (deaths + 1).saturating_sub(LOST_MAX).min(16);
    limits::ISOLATED_MS.saturating_mul(1 << doublings).min(limits::ISOLATED_MS_MAX)
}

impl Trying {
    /// Begins the trial. The next saga is tried when the mark of this one is gone.
    pub(crate) fn begin(mut self, alone_ms: u64) -> LoneTrial {
        let is_alone = Arc::new(AtomicBool::new(true));
        let (showed_nothing, mut over) = oneshot::channel();
        let trial = LoneTrial { is_alone: is_alone.clone(), showed_nothing: Some(showed_nothing) };
        actix::spawn(async move {
            let in_time = tokio::time::timeout(Duration::from_millis(alone_ms), &mut over).await;
            is_alone.store(false, Ordering::Release);
            match in_time {
                Ok(Ok(())) => self.let_be(true).await,
                Ok(Err(_)) => self.acquit().await,
                Err(_) => {
                    self.let_be(true).await;
                    self.permit = None;
                    if over.await.is_err() {
                        self.acquit().await;
                    }
                }
            }
        });
        trial
    }

    /// Says that the trial showed nothing. `was_read`: at least reading the saga killed nothing.
    pub(crate) async fn let_be(&mut self, was_read: bool) {
        let (store, lane, id) = (&self.node.store, self.lane, self.saga);
        until_heard(id, || store.let_be(lane, id, was_read)).await;
        self.is_marked = false;
    }

    async fn acquit(&mut self) {
        let (store, lane, id) = (&self.node.store, self.lane, self.saga);
        until_heard(id, || async move { store.acquit(lane, &[id]).await }).await;
        self.is_marked = false;
    }
}

impl Drop for Trying {
    fn drop(&mut self) {
        if self.is_marked {
            let (store, lane, id) = (self.node.store.clone(), self.lane, self.saga);
            self.node.work.spawn(async move { until_heard(id, || store.let_be(lane, id, false)).await });
        }
    }
}

/// Says that nothing died of a saga, until it is heard: a mark that stays would make the next death its doing.
async fn until_heard<Said>(id: Uuid, say: impl Fn() -> Said)
where
    Said: Future<Output = Result<(), Error>>,
{
    while let Err(error) = say().await {
        tracing::warn!(saga.id = %id, %error, "the mark of a trial is not cleared yet");
        tokio::time::sleep(Duration::from_millis(limits::RESEND_PAUSE_MAX_MS)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_alone_for_longer_with_each_death() {
        let seconds: Vec<u64> = [2, 3, 4, 5, 99].map(|deaths| alone_ms(deaths) / 1_000).to_vec();
        assert_eq!(seconds, [2, 4, 8, 16, 600]);
    }
}
