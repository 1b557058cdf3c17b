//! A transition that is decided and not yet durable. Owns what is kept of it until then, and the row that is written;
//! nothing follows from it before its row is accepted.

use uuid::Uuid;

use super::journal_row;
use super::notification;
use super::signal_reader;
use crate::actor::node::definitions::Pinned;
use crate::actor::node::waiters::Ended;
use crate::boundary::{self, Aim};
use crate::saga::Json;
use crate::saga::command::Command;
use crate::saga::event::Event;
use crate::saga::state::{Course, End, State};
use crate::store::{Start, Transition};

/// What an event leads to: the state, and what that asks for.
pub(crate) type Next = (State, Vec<Command>);

/// What follows from the transition once it is durable.
pub(crate) struct PendingTransition {
    pub(crate) state: State,
    pub(crate) commands: Vec<Command>,
    /// What those who wait are told, if this is the end.
    pub(crate) ended: Option<Ended>,
    /// Its row has an event for the outbox.
    pub(crate) tells: bool,
    /// It takes the saga from this lane.
    pub(crate) evicts: bool,
    /// The event, if its row is written in a handler's transaction, which may still be rolled back.
    pub(crate) within: Option<Box<Event>>,
    /// For whom the places on its way are passed.
    pub(crate) aim: Aim,
}

impl PendingTransition {
    /// Proposes what an event leads to from `old`, as row `seq`; returns it with its row. `start`: it is the saga's
    /// first row. `within`: the row goes into a handler's transaction, not into the lane's next batch.
    pub(crate) fn new(
        (saga, seq): (Uuid, i32),
        pinned: &Pinned,
        event: &Event,
        old: &State,
        (state, commands): Next,
        start: Option<Start>,
        within: bool,
    ) -> (Self, Transition) {
        let old = start.is_none().then_some(old);
        let mut row = journal_row::of(saga, seq, &pinned.definition, event, old, &state);
        row.start = start;
        row.outbox = notification::of(pinned, old, &state, &row);
        let ended = row
            .end
            .as_ref()
            .map(|end| Ended { status: end.status, result: end.result.clone().unwrap_or_else(Json::null) });
        if !within {
            pinned.counts.decided(event, old, &state);
        }
        let kept = within.then(|| Box::new(event.clone()));
        let tells = row.outbox.is_some();
        let evicts = signal_reader::evicts(event);
        let backward = matches!(state.course, Course::Backward | Course::Ended(End::Compensated));
        let aim = Aim::of(pinned.definition.name(), backward);
        boundary::pass_for("saga: decided", &aim);
        (Self { state, commands, ended, tells, evicts, within: kept, aim }, row)
    }
}
