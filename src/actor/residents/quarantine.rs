//! Quarantine: runs suspected poison sagas one at a time per node, so that a crash convicts no other saga. A durable
//! mark is set before such a saga runs, and only deaths under the mark convict it. Owns the beginning and the end of
//! the mark; the sweep judges what a death means (`store/sweep.rs`).

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

/// What a suspect waits for, in words.
pub(crate) const LONE_TRIAL: &str = "its lone trial (processes died while they ran it)";

/// Saga that holds the trial place and may be marked.
pub(crate) struct Trying {
    node: Arc<Node>,
    lane: LaneId,
    saga: Uuid,
    // None once the saga is no longer alone. It would also be none if the semaphore were closed, and then a suspect
    // would run beside others; nothing closes it.
    permit: Option<OwnedSemaphorePermit>,
    /// Set while the mark may be in the database.
    is_marked: bool,
}

/// Answer to the request for a lone trial.
pub(crate) enum Asked {
    /// The saga is marked and alone.
    Alone(Trying),
    /// The saga has crashed its process in enough trials.
    Convicted(Trying),
    /// The lane does not own the saga.
    NotOurs,
    /// The saga is not marked; ask again later.
    Later(String),
}

/// Lone trial in progress. Dropping it ends the trial and acquits the saga, unless [`LoneTrial::let_be`] came first.
/// Once its time is over the saga is no longer alone.
#[derive(Debug)]
pub(crate) struct LoneTrial {
    is_alone: Arc<AtomicBool>,
    showed_nothing: Option<oneshot::Sender<()>>,
}

/// Where a saga stands with the quarantine.
#[derive(Debug, Default)]
pub(crate) enum Confinement {
    /// The saga is no suspect.
    #[default]
    No,
    /// The saga waits for its trial, and begins nothing by itself meanwhile.
    Queued,
    /// The saga is being tried.
    Alone(LoneTrial),
    /// The saga was convicted, and is about to write that into its journal.
    Convicted(LoneTrial),
}

impl Confinement {
    /// Whether a transition must wait for a lone trial, because it would begin a suspected call again. After a death
    /// a call begins again when the death is found out (`OwnerLost`) or when its retry is due (`TimerFired`).
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

    /// Whether lone trials have shown that a call of the saga kills its process.
    pub(crate) fn is_convicted(&self) -> bool {
        matches!(self, Self::Convicted(_))
    }

    /// Queues the saga for a trial. An earlier trial ends without a result.
    pub(crate) fn queue(&mut self) {
        if let Self::Alone(trial) | Self::Convicted(trial) = std::mem::replace(self, Self::Queued) {
            trial.let_be();
        }
    }

    /// Ends the trial once no suspected call is under way. If a call during which enough processes died still waits
    /// for its next attempt, the trial ends without a result instead of an acquittal.
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

/// Whether the saga must be read alone: at least `SILENT_DEATHS_MAX` processes in a row died while they had it and
/// had written no row of it.
pub(crate) fn is_suspect(saga: &Claimed) -> bool {
    saga.deaths >= u32::from(SILENT_DEATHS_MAX.unsigned_abs())
}

/// Waits for the trial place, and for the pause after the last death, then marks the saga. `is_first`: the saga has
/// not been tried under the present suspicion, so that earlier trials do not count.
pub(crate) async fn ask(node: &Arc<Node>, lane: LaneId, saga: Uuid, is_first: bool) -> Asked {
    loop {
        let permit = node.trial_permit.acquire().await;
        let mut trying = Trying { node: node.clone(), lane, saga, permit, is_marked: true };
        match node.store.try_suspect(lane, saga, is_first).await {
            Ok(Trial::Marked) => {
                tracing::info!(saga.id = %saga, "suspected poison saga: running it alone");
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
            // The row is locked: nothing was written.
            Err(Error::Busy(why)) => {
                trying.is_marked = false;
                return Asked::Later(why);
            }
            Err(error) => {
                // The answer may be lost after the mark was set.
                trying.let_be(false).await;
                return Asked::Later(error.to_string());
            }
        }
    }
}

/// Waits until a call can be tried alone; `deaths` processes in a row died during it. The first trial comes after the
/// first pause of `TRIAL_PAUSES_MS`.
pub(crate) async fn ask_for_call(node: Arc<Node>, lane: LaneId, saga: Uuid, deaths: u32) -> Confinement {
    let is_first = deaths < LOST_MAX;
    let _listed = node.waits.list(&node.lease.clock, Wait::of_saga(saga, LONE_TRIAL));
    if is_first {
        let pause = crate::boundary::trial_pause_ms().unwrap_or(TRIAL_PAUSES_MS[0]);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    loop {
        // Spawned, so that it goes on if the actor stops: a mark that was requested must also be cleared.
        let asking = node.clone();
        let asked = actix::spawn(async move { ask(&asking, lane, saga, is_first).await });
        match asked.await.unwrap_or(Asked::NotOurs) {
            Asked::Alone(trying) => return Confinement::Alone(trying.begin(alone_ms(deaths))),
            Asked::Convicted(trying) => return Confinement::Convicted(trying.begin(limits::ISOLATED_MS)),
            // The lane is dead, so this actor will stop, too.
            Asked::NotOurs => return Confinement::Queued,
            Asked::Later(why) => {
                tracing::warn!(saga.id = %saga, why, "could not mark the saga for its lone trial; retrying");
                tokio::time::sleep(Duration::from_millis(limits::RESEND_PAUSE_MAX_MS)).await;
            }
        }
    }
}

/// Returns how long a call is alone. The time doubles with each death, so that a call that kills its process late is
/// found out, too.
fn alone_ms(deaths: u32) -> u64 {
    let doublings = (deaths + 1).saturating_sub(LOST_MAX).min(16);
    limits::ISOLATED_MS.saturating_mul(1 << doublings).min(limits::ISOLATED_MS_MAX)
}

impl Trying {
    /// Begins the trial. The trial place is free again once the mark of this saga is cleared.
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

    /// Clears the mark without a result: the trial showed nothing. `was_read`: the journal was read, so reading it
    /// kills no process.
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

/// Repeats a statement that clears a mark until it succeeds. If a mark stayed, the next death of the process would
/// count against the saga.
async fn until_heard<Said>(id: Uuid, say: impl Fn() -> Said)
where
    Said: Future<Output = Result<(), Error>>,
{
    while let Err(error) = say().await {
        tracing::warn!(saga.id = %id, %error, "could not clear the quarantine mark; retrying");
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
