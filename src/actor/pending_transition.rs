//! A transition that is decided and not yet durable. Owns what is kept of it until then, and the row that is written;
//! nothing follows from it before its row is accepted.

use uuid::Uuid;

use super::definitions::Pinned;
use super::journal_row;
use super::notification;
use super::signal_reader;
use super::waiters::Ended;
use crate::boundary::{self, Aim};
use crate::saga::Json;
use crate::saga::command::Command;
use crate::saga::event::Event;
use crate::saga::state::{Course, End, State};
use crate::store::{Start, Transition, Within};

/// Where a row is written.
pub(super) enum Place {
    /// With the lane's next batch, as the saga's first.
    First(Start),
    /// With the lane's next batch.
    Batch,
    /// In the transaction of the handler whose success it is.
    Within(Box<Within>),
}

/// What an event leads to: the state, and what that asks for.
pub(super) type Next = (State, Vec<Command>);

/// What follows from the transition once it is durable.
pub(super) struct PendingTransition {
    pub(super) state: State,
    pub(super) commands: Vec<Command>,
    /// What those who wait are told, if this is the end.
    pub(super) ended: Option<Ended>,
    /// Its row has an event for the outbox.
    pub(super) tells: bool,
    /// It takes the saga from this lane.
    pub(super) evicts: bool,
    /// The event, if its row is written in a handler's transaction, which may still be rolled back.
    pub(super) within: Option<Box<Event>>,
    /// For whom the places on its way are passed.
    pub(super) aim: Aim,
}

impl PendingTransition {
    /// Proposes what an event leads to from `old`, as row `seq`; returns it with its row, and the transaction that
    /// the row goes into, if it is not the lane's next batch.
    pub(super) fn of(
        (saga, seq): (Uuid, i32),
        pinned: &Pinned,
        event: &Event,
        old: &State,
        (state, commands): Next,
        place: Place,
    ) -> (Self, Transition, Option<Box<Within>>) {
        let (start, within) = match place {
            Place::First(start) => (Some(start), None),
            Place::Batch => (None, None),
            Place::Within(within) => (None, Some(within)),
        };
        let old = start.is_none().then_some(old);
        let mut row = journal_row::of(saga, seq, &pinned.definition, event, old, &state);
        row.start = start;
        row.outbox = notification::of(pinned, old, &state, &row);
        let ended = row
            .end
            .as_ref()
            .map(|end| Ended { status: end.status, result: end.result.clone().unwrap_or_else(Json::null) });
        if within.is_none() {
            pinned.counts.decided(event, old, &state);
        }
        let kept = within.is_some().then(|| Box::new(event.clone()));
        let tells = row.outbox.is_some();
        let evicts = signal_reader::evicts(event);
        let backward = matches!(state.course, Course::Backward | Course::Ended(End::Compensated));
        let aim = Aim::of(pinned.definition.name(), backward);
        boundary::pass_for("saga: decided", &aim);
        (Self { state, commands, ended, tells, evicts, within: kept, aim }, row, within)
    }
}
