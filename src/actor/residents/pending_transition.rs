//! A transition that is decided and not yet durable. Owns its row, and what must be kept until the row is accepted;
//! nothing follows from the transition before then.

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

/// State that an event leads to, and the commands that the state asks for.
pub(crate) type Next = (State, Vec<Command>);

/// What follows from a transition once it is durable.
pub(crate) struct PendingTransition {
    pub(crate) state: State,
    pub(crate) commands: Vec<Command>,
    /// What waiting callers are told, if this ends the saga.
    pub(crate) ended: Option<Ended>,
    /// Set if its row puts an event into the outbox.
    pub(crate) tells: bool,
    /// Set if it evicts the saga from this lane.
    pub(crate) evicts: bool,
    /// The event, if its row is written in a handler's transaction, which may still be rolled back.
    pub(crate) within: Option<Box<Event>>,
    /// The link of its row, if the journal is chained.
    pub(crate) link: Option<Box<[u8]>>,
    /// Crash-test label of its row.
    pub(crate) aim: Aim,
}

impl PendingTransition {
    /// Builds the transition that an event makes from `old`, and its row number `seq`. `start`: the row is the saga's
    /// first. `output`: what a completed saga's template rendered, if it was rendered already. `within`: the row goes
    /// into a handler's transaction, not into the lane's next batch.
    pub(crate) fn new(
        (saga, seq, output): (Uuid, i32, Option<Json>),
        pinned: &Pinned,
        event: &Event,
        old: &State,
        (state, commands): Next,
        start: Option<Start>,
        within: bool,
    ) -> (Self, Transition) {
        let old = start.is_none().then_some(old);
        let mut row = journal_row::build((saga, seq), &pinned.definition, event, old, &state, output);
        row.start = start;
        row.outbox = notification::for_row(pinned, old, &state, &row);
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
        let aim = Aim::new(pinned.definition.name(), backward);
        boundary::pass_for("saga: decided", &aim);
        (Self { state, commands, ended, tells, evicts, within: kept, link: None, aim }, row)
    }
}
