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

/// How a saga comes to this node.
pub(super) enum Arrival {
    /// It starts here.
    Start {
        /// What the first row says.
        started: Started,
        /// Makes the start idempotent.
        key: Option<StartKey>,
        /// Who wants to know.
        answer: oneshot::Sender<StartOutcome>,
    },
    /// It was claimed, or is taken up again: its state after `seq` rows.
    TakenUp {
        /// The fold of its journal.
        state: State,
        /// Rows in the journal.
        seq: i32,
        /// The claim itself wrote the first row: what it asks for was not begun by anybody.
        fresh: bool,
        /// Something was asked of it before it was claimed.
        asked: bool,
        /// Processes died of it, so it is tried alone.
        confinement: Confinement,
    },
}

/// What is done first.
pub(super) enum First {
    /// Write the row that starts it.
    Write { event: Event, commands: Vec<Command>, key: Option<StartKey> },
    /// Carry out what the first row asks for: the claim wrote it.
    CarryOut,
    /// The same, but look first at what was asked of it: it may end before it begins anything.
    Listen,
    /// What was in flight is lost with the owner before.
    Recover,
}

/// A saga as it enters this node.
pub(super) struct Entered {
    pub(super) state: State,
    /// Rows of its journal that are durable.
    pub(super) seq: i32,
    pub(super) first: First,
    /// Who wants to know whether it starts.
    pub(super) answer: Option<oneshot::Sender<StartOutcome>>,
    pub(super) confinement: Confinement,
}

impl Arrival {
    /// Where the saga stands, and what it does first.
    pub(super) fn at(self, definition: &Definition) -> Entered {
        match self {
            Self::TakenUp { state, seq, fresh, asked, confinement } => {
                let first = match (fresh, asked) {
                    (true, false) => First::CarryOut,
                    (true, true) => First::Listen,
                    (false, _) => First::Recover,
                };
                Entered { state, seq, first, answer: None, confinement }
            }
            Self::Start { started, key, answer } => {
                let (state, commands) = begin(definition, &started);
                let first = First::Write { event: Event::Started(started), commands, key };
                Entered { state, seq: 0, first, answer: Some(answer), confinement: Confinement::No }
            }
        }
    }
}
