//! How a saga leaves this node: handed back in good order, evicted, released by its lane, or with a lost lane. The
//! exit guard tells the dispatcher.

use std::time::Duration;

use actix::prelude::*;

use super::{AtLane, Mode, SagaActor};
use crate::actor::commit::messages::{LaneLost, Release, Released};
use crate::actor::residents::attempt::InFlight;
use crate::actor::residents::messages::{AbortCalls, ExitReason, HandBack};
use crate::config::actor as limits;
use crate::saga::command::CallSpec;
use crate::saga::event::{Event, Withdrawn};
use crate::saga::outstanding;

impl SagaActor {
    /// Leaves for another node: gives up the calls in flight. A call that has not ended after `EVICTED_GRACE_MS` is
    /// left to itself, and its outcome is unknown unless it never began.
    pub(super) fn evicted(&mut self, ctx: &mut Context<Self>) {
        tracing::warn!(saga.id = %self.id, "evicting the saga: requested by an operator");
        self.node.claim_pause.avert();
        self.stop_beginning(ctx);
        self.in_flight.iter().for_each(InFlight::give_up);
        ctx.run_later(Duration::from_millis(limits::EVICTED_GRACE_MS), |act, ctx| {
            act.events.extend(act.in_flight.drain(..).map(|call| call.forsaken(&act.node).into()));
            act.decide(ctx);
        });
    }

    fn stop_beginning(&mut self, ctx: &mut Context<Self>) {
        match self.mode {
            // None of the calls that are due was begun.
            Mode::Listening => self.mode = Mode::HandingBack { withheld: self.due_steps() },
            Mode::Running => self.mode = Mode::HandingBack { withheld: Vec::new() },
            Mode::HandingBack { .. } => {}
        }
        self.in_flight.iter().for_each(InFlight::withdraw);
        self.timer.take().map(|timer| ctx.cancel_future(timer));
    }

    /// Leaves in good order: waits for the calls in flight, withdraws those that were not begun, then releases the
    /// saga.
    pub(super) fn hand_back(&mut self, ctx: &mut Context<Self>) {
        if !self.in_flight.is_empty() || !self.postponed.is_empty() {
            return;
        }
        let due = self.due_steps();
        if let Mode::HandingBack { withheld } = &mut self.mode {
            let steps: Vec<usize> = std::mem::take(withheld).into_iter().filter(|step| due.contains(step)).collect();
            if !steps.is_empty() {
                let at = self.node.lease.clock.now_ms();
                self.events.push_back(Event::Withdrawn(Withdrawn { at, steps }).into());
                return self.decide(ctx);
            }
        }
        self.at_lane = AtLane::Release;
        let from = ctx.address().recipient();
        self.lane.committer.do_send(Release { saga: self.id, from });
    }

    /// Returns the steps whose calls are due or in flight.
    fn due_steps(&self) -> Vec<usize> {
        outstanding(&self.state).into_iter().filter_map(CallSpec::for_command).map(|call| call.step).collect()
    }

    pub(super) fn is_handing_back(&self) -> bool {
        matches!(self.mode, Mode::HandingBack { .. })
    }

    /// Stops the actor. The exit guard tells the dispatcher the reason when the actor is dropped.
    pub(super) fn part(&mut self, reason: ExitReason, ctx: &mut Context<Self>) {
        self.exit_guard.reason = reason;
        ctx.stop();
    }
}

impl Handler<Released> for SagaActor {
    type Result = ();

    fn handle(&mut self, released: Released, ctx: &mut Self::Context) {
        match released {
            Released::Yes => self.part(ExitReason::Released, ctx),
            Released::Fenced => self.part(ExitReason::Fenced, ctx),
            Released::No => {
                self.at_lane = AtLane::Nothing;
                self.read_signals(ctx);
                self.decide(ctx);
            }
        }
    }
}

impl Handler<HandBack> for SagaActor {
    type Result = ();

    fn handle(&mut self, _: HandBack, ctx: &mut Self::Context) {
        self.stop_beginning(ctx);
        self.decide(ctx);
    }
}

impl Handler<AbortCalls> for SagaActor {
    type Result = ();

    fn handle(&mut self, _: AbortCalls, _: &mut Self::Context) {
        self.in_flight.iter().for_each(InFlight::give_up);
    }
}

impl Handler<LaneLost> for SagaActor {
    type Result = ();

    fn handle(&mut self, _: LaneLost, ctx: &mut Self::Context) {
        self.part(ExitReason::Fenced, ctx);
    }
}
