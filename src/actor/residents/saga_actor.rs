//! One saga on this node: feeds events to the core, hands each transition to its lane, and only then carries out the
//! core's commands. Owns the order of these three. At most one row of a saga is unacknowledged. Leaves calls to
//! `attempt.rs`, and writing rows to the committer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::arrival::{Arrival, First, StartOutcome};
use super::attempt::{self, AtOnce, InFlight};
use super::exit_guard::ExitGuard;
use super::messages::{EventOccurred, ExitReason, Left, Wake};
use super::pending_transition::{Next, PendingTransition};
use super::quarantine::{self, Confinement};
use super::signal_reader::{self, Arrived};
use super::start_check::Refusal;
use super::{append_check, start_check, stuck_log, transactional};
use crate::actor::commit::lane_handle::LaneHandle;
use crate::actor::commit::messages::{Commit, Committed, Park, RolledBack};
use crate::actor::node::context::Node;
use crate::actor::node::definitions::Pinned;
use crate::boundary;
use crate::config::actor as limits;
use crate::metrics;
use crate::saga::command::{CallSpec, Command};
use crate::saga::event::{Event, OwnerLost, TimerFired};
use crate::saga::state::State;
use crate::saga::{IllegalEvent, deaths_in_a_row, legal_verbs, next_timer, outstanding, passed_deadline, transition};
use crate::store::{Chain, Parking, Start, Within, Written};

mod leaving;
mod long_evaluation;

use long_evaluation::Output;

/// Actor of one saga.
pub(crate) struct SagaActor {
    id: Uuid,
    pinned: Pinned,
    node: Arc<Node>,
    lane: Arc<LaneHandle>,
    exit_guard: ExitGuard,
    state: State,
    /// Number of durable rows in the journal.
    seq: i32,
    /// The end of the journal's chain; none if the journal is not chained.
    chain: Option<Box<Chain>>,
    /// What the actor does first; none once it has started.
    first: Option<Box<First>>,
    /// Events that are not yet decided.
    events: VecDeque<EventOccurred>,
    mode: Mode,
    at_lane: AtLane,
    in_flight: Vec<InFlight>,
    /// Commands that wait until the node trusts its lease again.
    postponed: Vec<Command>,
    answer: Option<oneshot::Sender<StartOutcome>>,
    timer: Option<SpawnHandle>,
    confinement: Confinement,
    signals: signal_reader::Reading,
    output: Output,
}

/// Whether the saga begins calls that are due.
enum Mode {
    /// Begins no call until the saga's signals are read; then every call that is due comes again.
    Listening,
    /// Begins calls that are due.
    Running,
    /// Leaves this node once the calls in flight have ended. The calls of the withheld steps were not begun.
    HandingBack { withheld: Vec<usize> },
}

/// What the lane was asked for and has not answered: one thing at a time.
enum AtLane {
    Nothing,
    /// Transition that is decided and not yet durable.
    Row(Box<PendingTransition>),
    /// Request to park or to release the saga.
    Release,
}

impl SagaActor {
    /// Creates the actor of a saga. The saga moves once the actor has started.
    pub(crate) fn new(
        id: Uuid,
        pinned: Pinned,
        lane: Arc<LaneHandle>,
        dispatcher: Recipient<Left>,
        arrival: Arrival,
    ) -> Self {
        let Arrival { state, seq, chain, first, answer, confinement } = arrival;
        let mode = if matches!(first, First::Listen) { Mode::Listening } else { Mode::Running };
        Self {
            id,
            pinned,
            node: lane.node.clone(),
            lane,
            exit_guard: ExitGuard { id, dispatcher, reason: ExitReason::Crashed },
            state,
            seq,
            chain,
            first: Some(Box::new(first)),
            events: VecDeque::new(),
            mode,
            at_lane: AtLane::Nothing,
            in_flight: Vec::new(),
            postponed: Vec::new(),
            answer,
            timer: None,
            confinement,
            signals: signal_reader::Reading::default(),
            output: Output::default(),
        }
    }

    /// Decides events until a row is under way or no event is left; then waits.
    fn decide(&mut self, ctx: &mut Context<Self>) {
        let _saga = tracing::debug_span!(parent: None, "saga", saga.id = %self.id).entered();
        while matches!(self.at_lane, AtLane::Nothing) && !self.output.is_under_way() {
            let Some(EventOccurred { event, within }) = self.events.pop_front() else {
                return self.wait(ctx);
            };
            let placed = signal_reader::in_place(&event, self.lane.id);
            let fits = placed.and_then(|()| append_check::check(&event, &self.pinned, &self.node, &self.state));
            match fits.and_then(|()| transition(&self.pinned.definition, &self.state, &event)) {
                Ok((next, _)) if self.confinement.holds(&event, &next) => self.queue(&event, &next, ctx),
                Ok((next, _)) if !self.has_output(&next, ctx) => {
                    self.events.push_front(EventOccurred { event, within })
                }
                Ok(next) => self.propose(&event, next, None, within, ctx),
                Err(illegal) => self.refuse(event, &illegal),
            }
        }
    }

    /// Hands a transition to the lane, or to the transaction of its handler. Nothing follows from it before it is
    /// durable.
    fn propose(
        &mut self,
        event: &Event,
        next: Next,
        start: Option<Start>,
        within: Option<Box<Within>>,
        ctx: &mut Context<Self>,
    ) {
        self.timer.take().map(|timer| ctx.cancel_future(timer));
        let at = (self.id, self.seq + 1, self.output.take(self.seq));
        let (mut pending, mut row) =
            PendingTransition::new(at, &self.pinned, event, &self.state, next, start, within.is_some());
        if let Some(chain) = &self.chain {
            chain.link(&mut row, self.lane.id);
            pending.link = row.link.clone();
        }
        let aim = pending.aim.clone();
        self.at_lane = AtLane::Row(Box::new(pending));
        let from = ctx.address().recipient();
        match within {
            None => self.lane.committer.do_send(Commit { row, aim, from }),
            Some(within) => {
                let undone_to = ctx.address().recipient();
                transactional::commit(&self.node, within, self.lane.id, row, from, undone_to);
            }
        }
    }

    /// Takes the pending transition out, once the lane has answered.
    fn take_pending(&mut self) -> Option<Box<PendingTransition>> {
        match std::mem::replace(&mut self.at_lane, AtLane::Nothing) {
            AtLane::Row(pending) => Some(pending),
            other @ (AtLane::Nothing | AtLane::Release) => {
                self.at_lane = other;
                None
            }
        }
    }

    /// Records an illegal request as refused, with the verbs that are legal. Drops any other illegal event: it came
    /// too late.
    fn refuse(&mut self, event: Event, illegal: &IllegalEvent) {
        let Event::Requested(requested) = event else {
            tracing::debug!(saga.id = %self.id, event = event.kind(), %illegal, "event came too late");
            return;
        };
        let legal = legal_verbs(&self.pinned.definition, &self.state, self.node.lease.clock.now_ms());
        self.events.push_front(signal_reader::refused(requested, illegal, &legal).into());
    }

    /// Makes the durable transition the current state, and carries out its commands.
    fn accepted(&mut self, ctx: &mut Context<Self>) {
        let Some(pending) = self.take_pending() else { return };
        let _saga = tracing::debug_span!(parent: None, "saga", saga.id = %self.id).entered();
        boundary::pass_for("saga: accepted", &pending.aim);
        self.seq += 1;
        if let (Some(chain), Some(link)) = (&mut self.chain, &pending.link) {
            chain.accept(link);
            metrics::ROWS_LINKED.with([]).increment(1);
        }
        if self.seq == 1 {
            self.node.began(&self.pinned);
        }
        if let Some(event) = &pending.within {
            self.pinned.counts.decided(event, Some(&self.state), &pending.state);
        }
        self.node.moved(self.id, &self.pinned, &self.state, &pending.state);
        stuck_log::report(self.id, &self.pinned.definition, &self.state, &pending.state);
        self.state = pending.state;
        attempt::recall(&self.in_flight, &self.state);
        if pending.tells {
            self.node.wakeups.hints.ring_for_events();
        }
        if let Some(answer) = self.answer.take() {
            // The caller may have gone; the saga runs all the same.
            let _ = answer.send(StartOutcome::Fresh(self.id));
        }
        if let Some(ended) = pending.ended {
            self.pinned.counts.ended(&self.state, self.node.lease.clock.now_ms());
            if self.pinned.definition.draft().concurrency.is_some() {
                self.node.wakeups.hints.ended(self.id);
            }
            self.node.wakeups.waiters.tell(self.id, &ended);
            return self.part(ExitReason::Ended, ctx);
        }
        if pending.evicts {
            self.evicted(ctx);
        }
        pending.commands.into_iter().for_each(|command| self.carry_out(command, ctx));
        self.decide(ctx);
    }

    /// Carries out one command. A call does not begin while the saga listens, while it is handed back, or while the
    /// lease is not trusted.
    fn carry_out(&mut self, command: Command, ctx: &mut Context<Self>) {
        let at_once = attempt::at_once(self.id, &self.pinned, &self.node, &self.state, command);
        match at_once {
            Some(AtOnce::Now(event)) => return self.events.push_back(event.into()),
            Some(AtOnce::Later(evaluation)) => return self.evaluate(evaluation, ctx),
            None => {}
        }
        let Some(call) = CallSpec::for_command(command) else { return };
        match &mut self.mode {
            // The call stays outstanding; [`Self::begin`] carries it out.
            Mode::Listening => return,
            Mode::HandingBack { withheld } => return withheld.push(call.step),
            Mode::Running => {}
        }
        if !self.lane.may_begin() {
            return self.postpone(command, ctx);
        }
        let report_to = ctx.address().recipient();
        let begun = attempt::begin(self.id, &self.pinned, &self.lane, &self.state, call, report_to);
        // A saga rarely has more than one call in flight. A node has thousands of sagas, so none keeps spare room.
        self.in_flight.reserve_exact(1);
        self.in_flight.push(begun);
    }

    /// Postpones a call until a beat has confirmed the lease, since the lease may be lost.
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

    /// Makes a call during which processes died wait until it can be tried alone on this node.
    fn queue(&mut self, event: &Event, next: &State, ctx: &mut Context<Self>) {
        if self.confinement.is_queued() {
            return;
        }
        self.confinement.queue();
        let lost = matches!(event, Event::OwnerLost(_));
        let again: fn(&mut Self, &mut Context<Self>) = if lost { Self::recover } else { Self::fire };
        let trial = quarantine::ask_for_call(self.node.clone(), self.lane.id, self.id, deaths_in_a_row(next));
        ctx.spawn(trial.into_actor(self).map(move |confinement, act, ctx| {
            act.confinement = confinement;
            if !act.is_handing_back() && !act.confinement.is_queued() {
                again(act, ctx);
            }
        }));
    }

    /// Handles a saga with nothing to decide. It sleeps until its next timer. If no call is outstanding, and it has
    /// no timer or the timer is more than `PARK_AFTER_MS` away, it is parked instead.
    fn wait(&mut self, ctx: &mut Context<Self>) {
        if !matches!(self.at_lane, AtLane::Nothing) || self.signals.is_reading() {
            return;
        }
        if matches!(self.mode, Mode::Listening) {
            return self.begin(ctx);
        }
        let (now, due) = (self.node.lease.clock.now_ms(), next_timer(&self.pinned.definition, &self.state));
        // A timer that is due now is part of the trial.
        if due.is_none_or(|due| due > now) {
            self.confinement.leave(&self.state);
        }
        let busy = !outstanding(&self.state).is_empty();
        if self.is_handing_back() {
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
                self.at_lane = AtLane::Release;
                let parking = Parking { id: self.id, signals_seen: self.state.signals_seen, wake_at };
                self.lane.committer.do_send(Park { parking, from: ctx.address().recipient() });
            }
        }
    }

    /// Ends the listening once the signals are read and decided. Begins the outstanding calls; if the saga turns back
    /// or is paused, withdraws them instead.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        if !self.signals.has_read() {
            return;
        }
        self.mode = Mode::Running;
        let called_off = self.state.turn_back.is_some() || self.state.paused;
        for command in outstanding(&self.state) {
            match CallSpec::for_command(command).filter(|_| called_off) {
                Some(call) => self.events.push_back(call.withdrawn(self.node.lease.clock.now_ms()).into()),
                None => self.carry_out(command, ctx),
            }
        }
        self.decide(ctx);
    }

    fn fire(&mut self, ctx: &mut Context<Self>) {
        self.timer = None;
        let at = self.node.lease.clock.now_ms();
        let passed = passed_deadline(&self.pinned.definition, &self.state, at);
        // Signals sent before the deadline come before it.
        if passed.is_some_and(|deadline| !self.signals.has_heard(deadline)) {
            return self.read_signals(ctx);
        }
        self.events.push_back(Event::TimerFired(TimerFired { at }).into());
        self.decide(ctx);
    }

    /// Begins a saga that was just claimed, unless it is refused.
    fn begin_fresh(&mut self, refusal: Refusal, ctx: &mut Context<Self>) {
        self.events.extend(refusal.events.into_iter().map(EventOccurred::from));
        if self.events.is_empty() {
            outstanding(&self.state).into_iter().for_each(|command| self.carry_out(command, ctx));
        }
        if matches!(self.mode, Mode::Listening) {
            self.read_signals(ctx);
        }
        self.decide(ctx);
    }

    /// Goes on with a saga whose owner was lost, unless it is refused.
    fn begin_again(&mut self, refusal: Refusal, ctx: &mut Context<Self>) {
        self.events.extend(refusal.events.into_iter().map(EventOccurred::from));
        if refusal.never_begun { self.decide(ctx) } else { self.recover(ctx) }
    }

    /// Tells the core that the calls of the previous owner are lost.
    fn recover(&mut self, ctx: &mut Context<Self>) {
        let (at, jitter) = (self.node.lease.clock.now_ms(), rand::random());
        let convicted = self.confinement.is_convicted();
        self.events.push_front(Event::OwnerLost(OwnerLost { at, jitter, convicted }).into());
        self.decide(ctx);
    }

    /// Reads the signals after the last one that the saga has seen.
    fn read_signals(&mut self, ctx: &mut Context<Self>) {
        if let Some(read) = self.signals.begin(self.id, &self.state, &self.node) {
            ctx.spawn(read.into_actor(self).map(|arrived, act, ctx| act.arrived(arrived, ctx)));
        }
    }

    fn arrived(&mut self, arrived: Arrived, ctx: &mut Context<Self>) {
        let again = self.signals.end(arrived.is_err());
        match arrived {
            Ok(events) => self.events.extend(self.signals.unseen(events).into_iter().map(EventOccurred::from)),
            Err(error) => {
                tracing::warn!(saga.id = %self.id, %error, "could not read signals; retrying");
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
        match self.first.take().map(|first| *first) {
            None => {}
            Some(First::Write { event, commands, key }) => {
                let start = Start { definition: self.pinned.id, key: key.map(|key| *key) };
                self.propose(&event, (self.state.clone(), commands), Some(start), None, ctx);
            }
            Some(First::CarryOut | First::Listen) => {
                self.node.began(&self.pinned);
                self.check_start(start_check::check_fresh, ctx, Self::begin_fresh);
            }
            Some(First::Recover) => {
                self.read_signals(ctx);
                if outstanding(&self.state).is_empty() {
                    return self.decide(ctx);
                }
                metrics::SAGAS_RECOVERED.with([]).increment(1);
                self.check_start(start_check::check_lost, ctx, Self::begin_again);
            }
        }
    }
}

impl Handler<Committed> for SagaActor {
    type Result = ();

    fn handle(&mut self, Committed(written): Committed, ctx: &mut Self::Context) {
        let answer = match written {
            Written::Accepted => return self.accepted(ctx),
            // The committer sends the row again by itself.
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
                // The caller may have gone.
                let _ = asker.send(answer);
                self.part(ExitReason::Fenced, ctx);
            }
            None => self.part(ExitReason::Crashed, ctx),
        }
    }
}

impl Handler<EventOccurred> for SagaActor {
    type Result = ();

    fn handle(&mut self, occurred: EventOccurred, ctx: &mut Self::Context) {
        self.in_flight.retain(|call| !call.is_ended_by(&occurred.event));
        self.events.push_back(occurred);
        self.decide(ctx);
    }
}

impl Handler<RolledBack> for SagaActor {
    type Result = ();

    fn handle(&mut self, RolledBack(rolled_back): RolledBack, ctx: &mut Self::Context) {
        let Some(event) = self.take_pending().and_then(|pending| pending.within) else { return };
        self.events.push_front(transactional::failed(*event, rolled_back).into());
        self.decide(ctx);
    }
}

impl Handler<Wake> for SagaActor {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        self.read_signals(ctx);
    }
}
