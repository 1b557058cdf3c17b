//! Begins reruns: new sagas that go on from a step of an ended saga. Owns the search for requested reruns. The core
//! decides whether a rerun is legal and what it takes over. Any node may look at any time, since the first row of the
//! new saga can be written only once.

use std::sync::Arc;
use std::time::Duration;

use super::periodic::Chore;
use crate::actor::dispatch::lane_router::LaneRouter;
use crate::actor::node::context::Node;
use crate::actor::node::definitions::Pinned;
use crate::actor::residents::arrival::StartOutcome;
use crate::config::actor as limits;
use crate::saga::definition::Millis;
use crate::saga::event::Event;
use crate::saga::rerun::{Rerun, rerunnable, take_over};
use crate::saga::state::State;
use crate::saga::{LOST_MAX, legal_verbs, replay};
use crate::store::{Error, JournalRow, RerunFate, Rerunning};

/// Chore that begins reruns.
pub(crate) struct Rerunner {
    pub(crate) node: Arc<Node>,
    pub(crate) router: LaneRouter,
}

impl Chore for Rerunner {
    const NAME: &'static str = "reruns";
    const PLACES: [&'static str; 2] = ["rerunner: started", "rerunner: stopped"];

    async fn round(&mut self) -> Result<Duration, Error> {
        if let Err(error) = look(&self.node, &self.router).await {
            tracing::warn!(%error, "could not begin reruns; retrying");
        }
        self.node.wakeups.hints.reruns(Duration::from_millis(limits::RERUNS_POLL_MS)).await;
        Ok(Duration::ZERO)
    }
}

/// Takes up to `RERUNS_MAX` requested reruns and begins them.
async fn look(node: &Node, router: &LaneRouter) -> Result<(), Error> {
    if node.claim_pause.is_draining() {
        return Ok(());
    }
    for _ in 0..limits::RERUNS_MAX {
        let taken = node.store.take_rerun(node.lease.membership.id(), &node.definitions.runnable()).await?;
        let Some(asked) = taken else { break };
        let Some(pinned) = node.definitions.get(asked.definition) else { continue };
        if let Some(fate) = begin(node, router, pinned, &asked).await? {
            node.store.rerun_decided(&asked, &fate).await?;
        }
    }
    Ok(())
}

/// Begins a rerun or refuses it. Returns none while the result is unknown; then a later look decides.
async fn begin(
    node: &Node,
    router: &LaneRouter,
    pinned: Pinned,
    asked: &Rerunning,
) -> Result<Option<RerunFate>, Error> {
    if node.store.saga(asked.rerun).await?.is_some() {
        return Ok(Some(Ok(())));
    }
    // Deciding this rerun may crash the process, so it is refused.
    if asked.deaths >= LOST_MAX {
        return Ok(Some(Err(format!("{} nodes in a row died before they could decide the rerun", asked.deaths))));
    }
    if let Some(aside) = node.store.unreadable(asked.of).await?.filter(|aside| aside.died) {
        return Ok(Some(Err(format!("saga {} has not ended: {}", asked.of, aside.reason))));
    }
    let journal = node.store.journal(asked.of).await?;
    let events: Result<Vec<Event>, String> = journal.iter().map(JournalRow::event).collect();
    let state =
        match events.and_then(|events| replay(&pinned.definition, &events).map_err(|illegal| illegal.to_string())) {
            Ok(state) => state,
            Err(why) => return Ok(Some(Err(format!("the journal of saga {} cannot be read: {why}", asked.of)))),
        };
    if let Err(faults) = pinned.check_startable() {
        let faults = faults.join("; ");
        return Ok(Some(Err(format!("{faults}; fix the definition and start a new saga of it"))));
    }
    let outcomes = match take_over(&pinned.definition, asked.of, &state, &asked.step) {
        Ok(outcomes) => outcomes,
        Err(illegal) => {
            return Ok(Some(Err(format!("{illegal}; {}", legal(&pinned, asked, &state, node.lease.clock.now_ms())))));
        }
    };
    let Rerunning { of, step, by, asker, reason, .. } = asked.clone();
    let rerun = Rerun { of, from: step, by, reason, outcomes };
    Ok(match router.rerun(asked.rerun, pinned, state.input, rerun, asker).await {
        StartOutcome::Fresh(_) | StartOutcome::Existing(_) => Some(Ok(())),
        StartOutcome::Rejected(message) => Some(Err(message)),
        StartOutcome::KeyConflict(_) | StartOutcome::NotTaken | StartOutcome::Unknown => None,
    })
}

/// Returns what is legal instead.
fn legal(pinned: &Pinned, asked: &Rerunning, state: &State, now: Millis) -> String {
    let verbs = match state.end() {
        None => legal_verbs(&pinned.definition, state, now),
        Some(_) => {
            let steps = rerunnable(&pinned.definition, asked.of, state);
            steps.into_iter().map(|step| format!("rerun_from {step}")).chain(["start".to_owned()]).collect()
        }
    };
    format!("legal now: {}", verbs.join(", "))
}
