//! One saga on this node: feeds events to the core, hands each transition to its lane, and only then carries
//! out what the core asked for. Owns the order of these three; calls are made in `attempt.rs`, rows written
//! by the committer. At most one row of a saga is unacknowledged.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::append_check;
use super::arrival::{Arrival, Entered, First, StartOutcome};
use super::attempt::{self, CallSpec, EventOccurred, InFlight};
use super::committer::{Commit, Committed, Park, Release, Released};
use super::definitions::Pinned;
use super::dispatcher::{Dispatcher, ExitReason};
use super::exit_guard::ExitGuard;
use super::lane_handle::LaneHandle;
use super::messages::{AbortCalls, HandBack, StepDown, Wake};
use super::node::Node;
use super::pending_transition::{Next, PendingTransition, Place};
use super::quarantine::{self, Confinement};
use super::signal_reader::{self, Arrived};
use super::start_check;
use super::transactional::{self, Enlisted, Undone};
use crate::boundary;
use crate::config::actor as limits;
use crate::metrics;
use crate::saga::command::Command;
use crate::saga::event::{Event, OwnerLost, TimerFired, Withdrawn};
use crate::saga::state::State;
use crate::saga::{
    IllegalEvent, deaths_in_a_row, legal_verbs, next_timer, outstanding, passed_deadline, transition,
};
use crate::store::{Parking, Start, Written};

/// One saga on this node.
pub(super) struct SagaActor {
    id: Uuid,
    pinned: Pinned,
    node: Arc<Node>,
    post: Arc<LaneHandle>,
    exit_guard: ExitGuard,
    state: State,
    /// Rows of the journal that are durable.
    seq: i32,
    /// How it came here, until the actor has started.
    arrival: Option<Box<First>>,
    /// Events that happened and are not yet decided.
    events: VecDeque<Event>,
    /// Transactions in which some of them are to be recorded.
    enlisted: Enlisted,
    /// A transition that is decided and not yet durable.
    pending: Option<Box<PendingTransition>>,
    in_flight: Vec<InFlight>,
    /// Commands that wait until the node may trust its lease again.
    postponed: Vec<Command>,
    /// Steps whose commands are held back, since the saga is being handed back.
    withheld: Vec<usize>,
    answer: Option<oneshot::Sender<StartOutcome>>,
    timer: Option<SpawnHandle>,
    confinement: Confinement,
    signals: signal_reader::Reading,
    handing_back: bool,
    /// Nothing begins before it is known what was asked of the saga.
    listening: bool,
    /// The committer was asked to let the saga go.
    letting_go: bool,
}

impl SagaActor {
    /// Puts a saga on this node; it begins to move when the actor has started.
    pub(super) fn new(
        id: Uuid,
        pinned: Pinned,
        post: Arc<LaneHandle>,
        dispatcher: Addr<Dispatcher>,
        arrival: Arrival,
    ) -> Self {
        let Entered { state, seq, first, answer, confinement } = arrival.at(&pinned.definition);
        Self {
            id,
            pinned,
            node: post.node.clone(),
            post,
            exit_guard: ExitGuard { id, dispatcher, reason: ExitReason::Crashed },
            state,
            seq,
            arrival: Some(Box::new(first)),
            events: VecDeque::new(),
            enlisted: Enlisted::default(),
            pending: None,
            in_flight: Vec::new(),
            postponed: Vec::new(),
            withheld: Vec::new(),
            answer,
            timer: None,
            confinement,
            signals: signal_reader::Reading::default(),
            handing_back: false,
            listening: false,
            letting_go: false,
        }
    }

    /// Decides the next event, unless a row is under way; with nothing to decide, waits.
    fn decide(&mut self, ctx: &mut Context<Self>) {
        let _saga = tracing::debug_span!(parent: None, "saga", saga.id = %self.id).entered();
        while self.pending.is_none() && !self.letting_go {
            let Some(event) = self.events.pop_front() else { return self.wait(ctx) };
            let within = self.enlisted.take(&event);
            let placed = signal_reader::in_place(&event, self.post.lane);
            let fits =
                placed.and_then(|()| append_check::check(&event, &self.pinned, &self.node, &self.state));
            match fits.and_then(|()| transition(&self.pinned.definition, &self.state, &event)) {
                Ok((next, _)) if self.confinement.holds(&event, &next) => self.queue(&event, &next, ctx),
                Ok(next) => self.propose(&event, next, within.map_or(Place::Batch, Place::Within), ctx),
                Err(illegal) => self.refuse(event, &illegal),
            }
        }
    }

    /// Hands a transition to the lane. Nothing follows from it before it is durable.
    fn propose(&mut self, event: &Event, next: Next, place: Place, ctx: &mut Context<Self>) {
        self.timer.take().map(|timer| ctx.cancel_future(timer));
        let at = (self.id, self.seq + 1);
        let (pending, row, within) = PendingTransition::of(at, &self.pinned, event, &self.state, next, place);
        let aim = pending.aim.clone();
        self.pending = Some(Box::new(pending));
        match within {
            None => self.post.committer.do_send(Commit { row, aim, from: ctx.address() }),
            Some(within) => transactional::commit(&self.node, within, self.post.lane, row, ctx.address()),
        }
    }

    /// A request that is not legal is recorded as refused, with what is; any other event that is not is a
    /// hint come too late.
    fn refuse(&mut self, event: Event, illegal: &IllegalEvent) {
        let Event::Requested(requested) = event else {
            tracing::debug!(saga.id = %self.id, event = event.kind(), %illegal, "event came too late");
            return;
        };
        let legal = legal_verbs(&self.pinned.definition, &self.state, self.node.clock.now_ms());
        self.events.push_front(signal_reader::refused(requested, illegal, &legal));
    }

    /// The transition is durable: it is the state now, and what it asks for is carried out.
    fn accepted(&mut self, ctx: &mut Context<Self>) {
        let Some(pending) = self.pending.take() else { return };
        let _saga = tracing::debug_span!(parent: None, "saga", saga.id = %self.id).entered();
        boundary::pass_for("saga: accepted", &pending.aim);
        self.seq += 1;
        if self.seq == 1 {
            self.node.throughput.began(&self.pinned);
        }
        if let Some(event) = &pending.within {
            self.pinned.counts.decided(event, Some(&self.state), &pending.state);
        }
        self.node.moved(self.id, &self.pinned, &self.state, &pending.state);
        self.state = pending.state;
        attempt::recall(&self.in_flight, &self.state);
        if pending.tells {
            self.node.wakeups.ring_for_events();
        }
        if let Some(answer) = self.answer.take() {
            // Who started it may have gone; the saga runs all the same.
            let _ = answer.send(StartOutcome::Fresh(self.id));
        }
        if let Some(ended) = pending.ended {
            self.pinned.counts.ended(&self.state, self.node.clock.now_ms());
            if self.pinned.definition.draft().concurrency.is_some() {
                self.node.wakeups.ended(self.id);
            }
            self.node.waiters.tell(self.id, &ended);
            return self.part(ExitReason::Ended, ctx);
        }
        if pending.evicts {
            self.evicted(ctx);
        }
        pending.commands.into_iter().for_each(|command| self.carry_out(command, ctx));
        self.decide(ctx);
    }

    /// Leaves for another node: what is in flight is given up, and what does not end even so is left to itself.
    fn evicted(&mut self, ctx: &mut Context<Self>) {
        tracing::warn!(saga.id = %self.id, "an operator said so: the saga is handed to another node");
        self.node.claiming.avert();
        self.stop_beginning(ctx);
        self.in_flight.iter().for_each(InFlight::give_up);
        ctx.run_later(Duration::from_millis(limits::EVICTED_GRACE_MS), |act, ctx| {
            act.events.extend(act.in_flight.drain(..).map(|call| call.forsaken(&act.node)));
            act.decide(ctx);
        });
    }

    fn stop_beginning(&mut self, ctx: &mut Context<Self>) {
        self.handing_back = true;
        self.in_flight.iter().for_each(InFlight::withdraw);
        self.timer.take().map(|timer| ctx.cancel_future(timer));
    }

    /// Carries out one command, unless the saga is being handed back or the node may not trust its lease.
    fn carry_out(&mut self, command: Command, ctx: &mut Context<Self>) {
        let at_once = attempt::at_once(self.id, &self.pinned, &self.node, &self.state, command);
        if let Some(event) = at_once {
            return self.events.push_back(event);
        }
        let Some(order) = CallSpec::of(command) else { return };
        if self.listening {
            // It is outstanding, and comes again.
            return;
        }
        if self.handing_back {
            return self.withheld.push(order.step);
        }
        if !self.post.may_begin() {
            return self.postpone(command, ctx);
        }
        let begun = attempt::begin(self.id, &self.pinned, &self.post, &self.state, order, ctx.address());
        // Hardly ever more than one: what waits by the ten thousand keeps no room for more.
        self.in_flight.reserve_exact(1);
        self.in_flight.push(begun);
    }

    /// The lease may be lost: nothing that is outside begins until a beat has confirmed it.
    fn postpone(&mut self, command: Command, ctx: &mut Context<Self>) {
        self.postponed.push(command);
        if self.postponed.len() == 1 {
            ctx.run_later(Duration::from_millis(limits::DISTRUST_PAUSE_MS), |act, ctx| {
                for command in std::mem::take(&mut act.postponed) {
                    act.carry_out(command, ctx);
                }
                act.decide(ctx);
            });
        }
    }

    /// Processes died during the call that is due: it waits until it is tried alone on this node.
    fn queue(&mut self, event: &Event, next: &State, ctx: &mut Context<Self>) {
        if self.confinement.is_queued() {
            return;
        }
        self.confinement.queue();
        let lost = matches!(event, Event::OwnerLost(_));
        let again: fn(&mut Self, &mut Context<Self>) = if lost { Self::recover } else { Self::fire };
        let trial =
            quarantine::ask_for_call(self.node.clone(), self.post.lane, self.id, deaths_in_a_row(next));
        ctx.spawn(trial.into_actor(self).map(move |confinement, act, ctx| {
            act.confinement = confinement;
            if !act.handing_back && !act.confinement.is_queued() {
                again(act, ctx);
            }
        }));
    }

    /// Nothing is to be decided: sleeps until the next time, or leaves this node if that is far.
    fn wait(&mut self, ctx: &mut Context<Self>) {
        if self.pending.is_some() || self.letting_go || self.signals.is_reading() {
            return;
        }
        if self.listening {
            return self.begin(ctx);
        }
        let (now, due) = (self.node.clock.now_ms(), next_timer(&self.pinned.definition, &self.state));
        // What is due at once is part of the trial.
        if due.is_none_or(|due| due > now) {
            self.confinement.leave(&self.state);
        }
        let busy = !outstanding(&self.state).is_empty();
        if self.handing_back {
            return self.hand_back(ctx);
        }
        if self.confinement.is_queued() {
            return;
        }
        match due {
            Some(due) if busy || due <= now.saturating_add(limits::PARK_AFTER_MS) => {
                let pause = Duration::from_millis(due.saturating_sub(now));
                self.timer = Some(ctx.run_later(pause, Self::fire));
            }
            None if busy => {}
            wake_at => {
                self.letting_go = true;
                let parking = Parking { id: self.id, signals_seen: self.state.signals_seen, wake_at };
                self.post.committer.do_send(Park { parking, from: ctx.address() });
            }
        }
    }

    /// What was asked before the saga began is answered now: begins, unless it shall turn back or is paused; then what
    /// it was about to do never happened.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        if !self.signals.has_read() {
            return;
        }
        self.listening = false;
        let called_off = self.state.turn_back.is_some() || self.state.paused;
        for command in outstanding(&self.state) {
            match CallSpec::of(command).filter(|_| called_off) {
                Some(order) => self.events.push_back(order.called_off(self.node.clock.now_ms())),
                None => self.carry_out(command, ctx),
            }
        }
        self.decide(ctx);
    }

    fn fire(&mut self, ctx: &mut Context<Self>) {
        self.timer = None;
        let at = self.node.clock.now_ms();
        let passed = passed_deadline(&self.pinned.definition, &self.state, at);
        // What was asked in time comes before it.
        if passed.is_some_and(|deadline| !self.signals.has_heard(deadline)) {
            return self.read_signals(ctx);
        }
        self.events.push_back(Event::TimerFired(TimerFired { at }));
        self.decide(ctx);
    }

    /// What the owner before had in flight is lost.
    fn recover(&mut self, ctx: &mut Context<Self>) {
        let (at, jitter) = (self.node.clock.now_ms(), rand::random());
        let convicted = self.confinement.is_convicted();
        self.events.push_front(Event::OwnerLost(OwnerLost { at, jitter, convicted }));
        self.decide(ctx);
    }

    /// Leaves in good order: what is in flight ends first, what was not begun is withdrawn.
    fn hand_back(&mut self, ctx: &mut Context<Self>) {
        if !self.in_flight.is_empty() || !self.postponed.is_empty() {
            return;
        }
        if !self.withheld.is_empty() {
            let (at, steps) = (self.node.clock.now_ms(), std::mem::take(&mut self.withheld));
            self.events.push_back(Event::Withdrawn(Withdrawn { at, steps }));
            return self.decide(ctx);
        }
        self.letting_go = true;
        self.post.committer.do_send(Release { saga: self.id, from: ctx.address() });
    }

    /// Goes; the dispatcher is told how when the actor is dropped.
    fn part(&mut self, reason: ExitReason, ctx: &mut Context<Self>) {
        self.exit_guard.reason = reason;
        ctx.stop();
    }

    /// Reads what was asked of the saga since the last signal that it has seen.
    fn read_signals(&mut self, ctx: &mut Context<Self>) {
        if let Some(read) = self.signals.begin(self.id, self.state.signals_seen, &self.node) {
            ctx.spawn(read.into_actor(self).map(|arrived, act, ctx| act.arrived(arrived, ctx)));
        }
    }

    fn arrived(&mut self, arrived: Arrived, ctx: &mut Context<Self>) {
        let again = self.signals.end(arrived.is_err());
        match arrived {
            Ok(events) => self.events.extend(self.signals.unseen(events)),
            Err(error) => {
                tracing::warn!(saga.id = %self.id, %error, "signals not read yet");
                ctx.run_later(Duration::from_millis(limits::RESEND_PAUSE_MAX_MS), Self::read_signals);
            }
        }
        if again {
            self.read_signals(ctx);
        }
        self.decide(ctx);
    }
}

impl Actor for SagaActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        match self.arrival.take().map(|first| *first) {
            None => {}
            Some(First::Write { event, commands, key }) => {
                let start = Start { definition: self.pinned.id, key };
                self.propose(&event, (self.state.clone(), commands), Place::First(start), ctx);
            }
            Some(first @ (First::CarryOut | First::Listen)) => {
                self.listening = matches!(first, First::Listen);
                self.node.throughput.began(&self.pinned);
                self.events.extend(start_check::of_fresh(&self.pinned, &self.node, &self.state));
                if self.events.is_empty() {
                    outstanding(&self.state).into_iter().for_each(|command| self.carry_out(command, ctx));
                }
                self.read_signals(ctx);
                self.decide(ctx);
            }
            Some(First::Recover) => {
                self.read_signals(ctx);
                if outstanding(&self.state).is_empty() {
                    return self.decide(ctx);
                }
                metrics::SAGAS_RECOVERED.with([]).increment(1);
                let refusal = start_check::of_lost(&self.pinned, &self.node, &self.state, self.seq);
                self.events.extend(refusal.events);
                if refusal.never_begun { self.decide(ctx) } else { self.recover(ctx) }
            }
        }
    }
}

impl Handler<Committed> for SagaActor {
    type Result = ();

    fn handle(&mut self, Committed(written): Committed, ctx: &mut Self::Context) {
        let answer = match written {
            Written::Accepted => return self.accepted(ctx),
            // The committer sends such a row again by itself.
            Written::Busy => return,
            Written::Refused => return self.part(ExitReason::Fenced, ctx),
            Written::Duplicate { existing } => StartOutcome::Existing(existing),
            Written::KeyConflict { existing } => StartOutcome::KeyConflict(existing),
            Written::Rejected { message } => {
                tracing::error!(saga.id = %self.id, seq = self.seq + 1, message, "the database rejects a row");
                StartOutcome::Rejected(message)
            }
        };
        match self.answer.take() {
            Some(asker) => {
                // Who started it may have gone.
                let _ = asker.send(answer);
                self.part(ExitReason::Fenced, ctx);
            }
            None => self.part(ExitReason::Crashed, ctx),
        }
    }
}

impl Handler<EventOccurred> for SagaActor {
    type Result = ();

    fn handle(&mut self, EventOccurred { event, within }: EventOccurred, ctx: &mut Self::Context) {
        self.in_flight.retain(|call| !call.is_ended_by(&event));
        if let Some(within) = within {
            self.enlisted.add(&event, within);
        }
        self.events.push_back(event);
        self.decide(ctx);
    }
}

impl Handler<Undone> for SagaActor {
    type Result = ();

    fn handle(&mut self, Undone(rolled_back): Undone, ctx: &mut Self::Context) {
        let Some(event) = self.pending.take().and_then(|pending| pending.within) else { return };
        self.events.push_front(transactional::failed(*event, rolled_back));
        self.decide(ctx);
    }
}

impl Handler<Released> for SagaActor {
    type Result = ();

    fn handle(&mut self, Released(gone): Released, ctx: &mut Self::Context) {
        if gone {
            return self.part(ExitReason::Released, ctx);
        }
        // A signal came first, or its row is locked just now.
        self.letting_go = false;
        self.read_signals(ctx);
        self.decide(ctx);
    }
}

impl Handler<Wake> for SagaActor {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        self.read_signals(ctx);
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

impl Handler<StepDown> for SagaActor {
    type Result = ();

    fn handle(&mut self, _: StepDown, ctx: &mut Self::Context) {
        self.part(ExitReason::Fenced, ctx);
    }
}
