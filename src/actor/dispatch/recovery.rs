//! Loads sagas from their journals. Owns reading and folding. A journal that cannot be read is reported with the
//! reason, and never guessed at.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::actor::node::context::Node;
use crate::actor::node::definitions::Pinned;
use crate::actor::node::waits::Wait;
use crate::actor::residents::arrival::Arrival;
use crate::actor::residents::quarantine::{self, Asked, Confinement};
use crate::boundary::{self, Aim};
use crate::config::actor as limits;
use crate::saga::event::Event;
use crate::saga::state::State;
use crate::saga::{next_timer, outstanding, replay};
use crate::store::{Claimed, Error, JournalRow, LaneId};

/// Result of reading one saga.
pub(crate) enum Read {
    /// The saga can go on.
    Ready(Uuid, Pinned, Box<Arrival>),
    /// The saga has ended, or belongs to another lane.
    NotOurs(Uuid),
    /// The database did not answer, or something needed to read the saga is missing here; try again later.
    Later(Uuid, String),
    /// This version of amends cannot read the saga's journal.
    Unreadable(Uuid, String),
}

/// Reads claimed sagas, each once. Acquits the sagas that only wait: earlier deaths of their owners no longer count.
pub(crate) async fn load(node: &Arc<Node>, lane: LaneId, claimed: Vec<Claimed>) -> Vec<Read> {
    let died: Vec<Uuid> = claimed.iter().filter(|saga| saga.deaths > 0).map(|saga| saga.id).collect();
    let read = read(node, lane, claimed).await;
    if !died.is_empty() {
        acquit(node, lane, &died, &read).await;
    }
    read
}

/// Reads sagas. One that cannot be read is set aside: it is stuck, with the reason. One that was set aside and can be
/// read again is taken back.
async fn read(node: &Arc<Node>, lane: LaneId, claimed: Vec<Claimed>) -> Vec<Read> {
    let mut journals = match read_journals(node, &claimed).await {
        Ok(journals) => journals,
        Err(error) => return claimed.iter().map(|saga| Read::Later(saga.id, error.to_string())).collect(),
    };
    let mut read = Vec::with_capacity(claimed.len());
    for saga in claimed {
        let one = match &saga.first {
            Some(first) => fold(node, &saga, std::slice::from_ref(first)),
            None => fold(node, &saga, &journals.remove(&saga.id).unwrap_or_default()),
        };
        read.push(settle(node, lane, &saga, one).await);
    }
    read
}

/// Reads a suspect: processes died while they had it and had written no row of it. The suspect is read alone on this
/// node and under a mark, so that the next death counts against it. The trial goes on until the saga waits, parks, or
/// has run for `ISOLATED_MS` without a crash.
pub(crate) async fn try_alone(node: &Arc<Node>, lane: LaneId, saga: Claimed) -> Read {
    let id = saga.id;
    let listed = node.waits.list(&node.lease.clock, Wait::of_saga(id, quarantine::LONE_TRIAL));
    let asked = quarantine::ask(node, lane, id, false).await;
    drop(listed);
    let (mut trying, convicted) = match asked {
        Asked::Alone(trying) => (trying, false),
        // The saga was read in its trials without a crash, so reading it is safe.
        Asked::Convicted(trying) => (trying, true),
        Asked::NotOurs => return Read::NotOurs(id),
        Asked::Later(why) => return Read::Later(id, why),
    };
    let mut read = read(node, lane, vec![saga]).await.pop().unwrap_or(Read::NotOurs(id));
    match &mut read {
        Read::Ready(_, _, arrival) => {
            let trial = trying.begin(limits::ISOLATED_MS);
            arrival.confinement = if convicted { Confinement::Convicted(trial) } else { Confinement::Alone(trial) };
        }
        Read::Later(..) => trying.let_be(false).await,
        Read::NotOurs(_) | Read::Unreadable(..) => {}
    }
    read
}

/// Acquits sagas that only wait although a process died while it had them: their journals were read, and nothing of
/// them is due.
async fn acquit(node: &Node, lane: LaneId, died: &[Uuid], read: &[Read]) {
    let now = node.lease.clock.now_ms();
    let waits = |state: &State, pinned: &Pinned| {
        outstanding(state).is_empty() && next_timer(&pinned.definition, state).is_none_or(|due| due > now)
    };
    let innocent = |one: &Read| match one {
        Read::Ready(id, pinned, arrival) if died.contains(id) => waits(&arrival.state, pinned).then_some(*id),
        Read::Ready(..) | Read::NotOurs(_) | Read::Later(..) | Read::Unreadable(..) => None,
    };
    let innocent: Vec<Uuid> = read.iter().filter_map(innocent).collect();
    if innocent.is_empty() {
        return;
    }
    // The next owner of these sagas tries again.
    if let Err(error) = node.store.acquit(lane, &innocent).await {
        tracing::warn!(%error, sagas = innocent.len(), "could not clear the deaths of sagas that only wait");
    }
}

/// Reads the journals of the sagas whose first row was not written by this claim.
async fn read_journals(node: &Node, claimed: &[Claimed]) -> Result<HashMap<Uuid, Vec<JournalRow>>, Error> {
    let unknown: Vec<Uuid> = claimed.iter().filter(|saga| saga.first.is_none()).map(|saga| saga.id).collect();
    if unknown.is_empty() {
        return Ok(HashMap::new());
    }
    node.store.load(&unknown).await
}

/// Updates the saga's row with what its journal has shown, if the row does not say so yet.
async fn settle(node: &Arc<Node>, lane: LaneId, saga: &Claimed, read: Read) -> Read {
    let settled = match &read {
        Read::Ready(id, _, arrival) if saga.stuck => {
            node.store.take_back(lane, *id, arrival.state.status()).await.map(|()| true)
        }
        Read::Ready(..) => return read,
        Read::Unreadable(id, reason) => node.store.set_aside(lane, *id, reason).await,
        Read::NotOurs(_) | Read::Later(..) => return read,
    };
    match settled {
        Ok(true) => read,
        Ok(false) => Read::NotOurs(saga.id),
        Err(error) => Read::Later(saga.id, error.to_string()),
    }
}

/// Reads a saga again after its actor is gone, if this lane still owns it.
pub(crate) async fn again(node: &Arc<Node>, lane: LaneId, id: Uuid) -> Read {
    match node.store.of_lane(lane, id).await {
        Ok(Some(saga)) if quarantine::is_suspect(&saga) => try_alone(node, lane, saga).await,
        Ok(Some(saga)) => load(node, lane, vec![saga]).await.pop().unwrap_or(Read::NotOurs(id)),
        Ok(None) => Read::NotOurs(id),
        Err(error) => Read::Later(id, error.to_string()),
    }
}

fn fold(node: &Arc<Node>, saga: &Claimed, journal: &[JournalRow]) -> Read {
    let Some(pinned) = node.definitions.get(saga.definition) else {
        return Read::Later(saga.id, format!("definition {} is not known here", saga.definition.0));
    };
    boundary::pass_for("saga: reading", &Aim::new(pinned.definition.name(), false));
    let events: Result<Vec<Event>, String> = journal.iter().map(JournalRow::event).collect();
    let state = events.and_then(|events| {
        replay(&pinned.definition, &events).map_err(|illegal| format!("the journal has an illegal event: {illegal}"))
    });
    match state {
        Ok(state) => {
            let asked = saga.signals > state.signals_seen;
            let seq = journal.last().map_or(0, |row| row.seq);
            let chain = node.chaining.resume(saga.id, journal);
            let arrival = Arrival::claimed(state, seq, chain, saga.first.is_some(), asked);
            Read::Ready(saga.id, pinned, Box::new(arrival))
        }
        Err(reason) => {
            if !saga.stuck {
                pinned.counts.became_stuck();
            }
            Read::Unreadable(saga.id, reason)
        }
    }
}
