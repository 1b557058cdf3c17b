//! Takes sagas up from their journals. Owns reading and folding; a journal that cannot be read is reported
//! with its reason and never guessed at.

use std::sync::Arc;

use uuid::Uuid;

use super::definitions::Pinned;
use super::node::Node;
use super::saga_actor::Arrival;
use crate::saga::event::Event;
use crate::saga::replay;
use crate::store::{Claimed, JournalRow, LaneId};

/// What came of reading one saga.
pub(super) enum Read {
    /// It can go on.
    Ready(Uuid, Pinned, Box<Arrival>),
    /// It has ended, or belongs to somebody else.
    NotOurs(Uuid),
    /// It could not be read, for this reason; try again later.
    Later(Uuid, String),
}

/// Reads claimed sagas, each once.
pub(super) async fn load(node: &Arc<Node>, claimed: Vec<Claimed>) -> Vec<Read> {
    let ids: Vec<Uuid> = claimed.iter().map(|saga| saga.id).collect();
    let mut journals = match node.store.load(&ids).await {
        Ok(journals) => journals,
        Err(error) => return ids.into_iter().map(|id| Read::Later(id, error.to_string())).collect(),
    };
    let read = |saga: Claimed| {
        let Some(pinned) = node.definitions.get(saga.definition) else {
            return Read::Later(saga.id, format!("definition {} is not known here", saga.definition.0));
        };
        match fold(&pinned, &journals.remove(&saga.id).unwrap_or_default(), saga.fresh) {
            Ok(arrival) => Read::Ready(saga.id, pinned, Box::new(arrival)),
            Err(reason) => Read::Later(saga.id, reason),
        }
    };
    claimed.into_iter().map(read).collect()
}

/// Reads one saga again whose actor is gone, if it is still this lane's.
pub(super) async fn again(node: &Arc<Node>, lane: LaneId, id: Uuid) -> Read {
    let row = match node.store.saga(id).await {
        Ok(Some(row)) if row.lane == Some(lane) => row,
        Ok(_) => return Read::NotOurs(id),
        Err(error) => return Read::Later(id, error.to_string()),
    };
    let claimed =
        Claimed { id, definition: row.definition, signals: row.signals, adopted: false, fresh: false };
    load(node, vec![claimed]).await.pop().unwrap_or(Read::NotOurs(id))
}

fn fold(pinned: &Pinned, journal: &[JournalRow], fresh: bool) -> Result<Arrival, String> {
    let event = |row: &JournalRow| {
        let read: Result<Event, _> = serde_json::from_str(&row.body);
        read.map_err(|error| format!("row {} ({}) of the journal: {error}", row.seq, row.kind))
    };
    let events: Vec<Event> = journal.iter().map(event).collect::<Result<_, _>>()?;
    let state = replay(&pinned.definition, &events).map_err(|illegal| format!("journal: {illegal}"))?;
    let seq = journal.last().map_or(0, |row| row.seq);
    Ok(Arrival::TakenUp { state, seq, fresh })
}
