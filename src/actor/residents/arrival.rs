//! How a saga comes to a node, and what its actor does first. Owns the types; `saga_actor.rs` acts on them.

use tokio::sync::oneshot;
use uuid::Uuid;

use super::quarantine::Confinement;
use crate::saga::command::Command;
use crate::saga::event::{Event, Started};
use crate::saga::state::State;
use crate::saga::{Definition, begin};
use crate::store::{Chain, Chaining, StartKey};

/// Outcome of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartOutcome {
    /// A new saga runs under this id.
    Fresh(Uuid),
    /// The idempotency key was used before with the same input, for this saga.
    Existing(Uuid),
    /// The idempotency key was used before with another input, for this saga.
    KeyConflict(Uuid),
    /// The database rejects the row, and would reject it again.
    Rejected(String),
    /// No lane takes sagas now; nothing was written.
    NotTaken,
    /// The lane was lost on the way. Whether the saga started, under the proposed id, is unknown.
    Unknown,
}

/// Saga as it comes to this node.
pub(crate) struct Arrival {
    /// State after the rows of its journal, or after its first row if that is still to be written.
    pub(crate) state: State,
    /// Number of durable rows in its journal.
    pub(crate) seq: i32,
    /// The end of its journal's chain; none if the journal is not chained.
    pub(crate) chain: Option<Box<Chain>>,
    pub(crate) first: First,
    /// Caller that waits to learn whether the saga starts.
    pub(crate) answer: Option<oneshot::Sender<StartOutcome>>,
    /// Set if processes died while they ran the saga, so that it is tried alone.
    pub(crate) confinement: Confinement,
}

/// What the saga's actor does first.
pub(crate) enum First {
    /// Write the row that starts the saga.
    Write { event: Event, commands: Vec<Command>, key: Option<Box<StartKey>> },
    /// Carry out the commands of the first row, which the claim wrote. The claim held the saga's row and found no
    /// signal; each signal since then wakes the saga.
    CarryOut,
    /// The same, but read the saga's signals first: one of them may end the saga before it begins anything.
    Listen,
    /// Tell the core that the calls of the previous owner are lost.
    Recover,
}

impl Arrival {
    /// Returns the arrival of a saga that starts here.
    pub(crate) fn start(
        definition: &Definition,
        started: Started,
        key: Option<StartKey>,
        answer: oneshot::Sender<StartOutcome>,
        chaining: &Chaining,
    ) -> Self {
        let (state, commands) = begin(definition, &started);
        let first = First::Write { event: Event::Started(started), commands, key: key.map(Box::new) };
        Self { state, seq: 0, chain: chaining.begin(), first, answer: Some(answer), confinement: Confinement::No }
    }

    /// Returns the arrival of a saga that was claimed or is loaded again, with its state and chain after `seq` rows.
    /// `fresh`: the claim itself wrote the first row, and no actor has begun its commands. `asked`: the saga has
    /// signals that it has not read.
    pub(crate) fn claimed(state: State, seq: i32, chain: Option<Box<Chain>>, fresh: bool, asked: bool) -> Self {
        let first = match (fresh, asked) {
            (true, false) => First::CarryOut,
            (true, true) => First::Listen,
            (false, _) => First::Recover,
        };
        Self { state, seq, chain, first, answer: None, confinement: Confinement::No }
    }
}
