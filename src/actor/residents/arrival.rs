//! How a saga comes to a node, and what its actor does first. Owns the shapes; the actor does it.

use tokio::sync::oneshot;
use uuid::Uuid;

use super::quarantine::Confinement;
use crate::saga::command::Command;
use crate::saga::event::{Event, Started};
use crate::saga::state::State;
use crate::saga::{Definition, begin};
use crate::store::StartKey;

/// What became of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartOutcome {
    /// A new saga runs under this id.
    Fresh(Uuid),
    /// The idempotency key was used before with the same input: this is its saga.
    Existing(Uuid),
    /// The idempotency key was used before with another input, for this saga.
    KeyConflict(Uuid),
    /// The database cannot take it, now or later.
    Rejected(String),
    /// No lane takes sagas now; nothing was written.
    NotTaken,
    /// The lane was lost on the way: nobody knows whether it started, under the id that was proposed.
    Unknown,
}

/// A saga as it comes to this node.
pub(crate) struct Arrival {
    /// The fold of its journal, or what its first row leads to.
    pub(crate) state: State,
    /// Rows of its journal that are durable.
    pub(crate) seq: i32,
    pub(crate) first: First,
    /// Who wants to know whether it starts.
    pub(crate) answer: Option<oneshot::Sender<StartOutcome>>,
    /// Set where processes died of it, so that it is tried alone.
    pub(crate) confinement: Confinement,
}

/// What its actor does first.
pub(crate) enum First {
    /// Write the row that starts it.
    Write { event: Event, commands: Vec<Command>, key: Option<StartKey> },
    /// Carry out what the first row asks for: the claim wrote it.
    CarryOut,
    /// The same, but look first at what was asked of it: it may end before it begins anything.
    Listen,
    /// What was in flight is lost with the owner before.
    Recover,
}

impl Arrival {
    /// The saga starts here.
    pub(crate) fn start(
        definition: &Definition,
        started: Started,
        key: Option<StartKey>,
        answer: oneshot::Sender<StartOutcome>,
    ) -> Self {
        let (state, commands) = begin(definition, &started);
        let first = First::Write { event: Event::Started(started), commands, key };
        Self { state, seq: 0, first, answer: Some(answer), confinement: Confinement::No }
    }

    /// The saga was claimed, or is loaded again: its state after `seq` rows. `fresh`: the claim itself wrote the first
    /// row, and no actor began what that asks for. `asked`: it has signals that it has not seen.
    pub(crate) fn claimed(state: State, seq: i32, fresh: bool, asked: bool) -> Self {
        let first = match (fresh, asked) {
            (true, false) => First::CarryOut,
            (true, true) => First::Listen,
            (false, _) => First::Recover,
        };
        Self { state, seq, first, answer: None, confinement: Confinement::No }
    }
}
