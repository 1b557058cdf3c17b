//! Reads the signals of one saga and turns them into events. Each signal is read once, in order. Leaves it to the
//! core whether a signal is legal.

use std::future::Future;
use std::sync::Arc;

use uuid::Uuid;

use crate::actor::node::context::Node;
use crate::saga::definition::Millis;
use crate::saga::event::{Event, Request, RequestRefused, Requested};
use crate::saga::state::State;
use crate::saga::{Asker, IllegalEvent};
use crate::store::{Error, LaneId, Signal};

/// Signals as events, in order.
pub(crate) type Arrived = Result<Vec<Event>, Error>;

/// How far a saga has read its signals.
#[derive(Default)]
pub(crate) struct Reading {
    under_way: bool,
    /// Set if the last read failed; it is repeated after a pause.
    failed: bool,
    /// Set if a wake came during a read.
    again: bool,
    /// Number of the last signal that was handed out.
    last: u64,
    /// When the latest read began.
    began_at: Millis,
    /// When the latest successful read began.
    heard_at: Option<Millis>,
}

impl Reading {
    /// Whether a read is under way or must be repeated; the saga does not leave before it has succeeded.
    pub(crate) fn is_reading(&self) -> bool {
        self.under_way || self.failed
    }

    /// Whether every signal from before the saga came here was handed out.
    pub(crate) fn has_read(&self) -> bool {
        self.heard_at.is_some()
    }

    /// Whether every signal sent up to a past time was handed out.
    pub(crate) fn has_heard(&self, until: Millis) -> bool {
        self.heard_at.is_some_and(|heard_at| heard_at >= until)
    }

    /// Begins to read the signals that the state has not seen. If a read is under way, returns none; another read then
    /// follows it.
    pub(crate) fn begin(
        &mut self,
        saga: Uuid,
        state: &State,
        node: &Arc<Node>,
    ) -> Option<impl Future<Output = Arrived> + use<>> {
        if self.under_way {
            self.again = true;
            return None;
        }
        (self.under_way, self.failed) = (true, false);
        self.began_at = node.lease.clock.now_ms();
        let after = state.signals_seen.max(self.last);
        let (node, starter) = (node.clone(), state.started_by.clone());
        Some(async move {
            let signals = node.store.signals_after(saga, after).await?;
            let at = node.lease.clock.now_ms();
            Ok(signals.iter().map(|signal| event(signal, at, starter.as_deref())).collect())
        })
    }

    /// Ends the read; returns whether another must follow.
    pub(crate) fn end(&mut self, failed: bool) -> bool {
        (self.under_way, self.failed) = (false, failed);
        std::mem::take(&mut self.again)
    }

    /// Returns the events that were not handed out before.
    pub(crate) fn unseen(&mut self, events: Vec<Event>) -> Vec<Event> {
        self.heard_at = Some(self.began_at);
        let last = self.last;
        let unseen: Vec<Event> = events.into_iter().filter(|event| number(event) > last).collect();
        self.last = unseen.last().map_or(last, number);
        unseen
    }
}

fn number(event: &Event) -> u64 {
    match event {
        Event::Requested(event) => event.signal,
        Event::RequestRefused(event) => event.signal,
        Event::Started(_)
        | Event::ConditionDecided(_)
        | Event::ApprovalShown(_)
        | Event::AttemptEnded(_)
        | Event::ProbeAnswered(_)
        | Event::TimerFired(_)
        | Event::OwnerLost(_)
        | Event::Withdrawn(_) => 0,
    }
}

/// Whether an event evicts the saga from its lane.
pub(crate) fn evicts(event: &Event) -> bool {
    matches!(event, Event::Requested(Requested { request: Request::Evict { .. }, .. }))
}

/// Refuses an eviction that names another lane than `here`: the saga has moved since. Only the lane of a saga knows
/// where the saga is.
pub(crate) fn in_place(event: &Event, here: LaneId) -> Result<(), IllegalEvent> {
    match event {
        Event::Requested(Requested { request: Request::Evict { lane, .. }, .. })
            if i64::try_from(*lane) != Ok(here.0) =>
        {
            let what =
                format!("expected the lane that has the saga, {}, found {lane}: it was taken away before", here.0);
            Err(IllegalEvent { what })
        }
        _ => Ok(()),
    }
}

/// Returns the refusal of a request, with what is legal instead.
pub(crate) fn refused(requested: Requested, illegal: &IllegalEvent, legal: &[String]) -> Event {
    let Requested { at, asked_at: _, signal, by, by_starter: _, request } = requested;
    let reason = match legal.is_empty() {
        true => format!("{illegal}; nothing is legal now"),
        false => format!("{illegal}; legal now: {}", legal.join(", ")),
    };
    Event::RequestRefused(RequestRefused { at, signal, by, verb: request.verb().to_owned(), reason })
}

/// Returns a signal as an event. One that cannot be read becomes a refusal, since any SQL client may have written it.
fn event(signal: &Signal, at: u64, starter: Option<&Asker>) -> Event {
    let by = match &signal.addr {
        Some(addr) => format!("{} ({}, {addr})", signal.by, signal.application_name),
        None => format!("{} ({})", signal.by, signal.application_name),
    };
    match signal.request.decode::<Request>() {
        Ok(request) => {
            let by_starter = starter.is_some_and(|starter| signal.asker().may_be(starter));
            let (asked_at, signal) = (Some(signal.at), signal.n);
            Event::Requested(Requested { at, asked_at, signal, by, by_starter, request })
        }
        Err(error) => Event::RequestRefused(RequestRefused {
            at,
            signal: signal.n,
            by,
            verb: "unreadable".to_owned(),
            reason: format!("expected a request such as {{\"cancel\":{{\"reason\":\"...\"}}}}, found {error}"),
        }),
    }
}
