//! Carries out one command of the core: evaluates a condition, makes an attempt, asks a probe. Owns the
//! call's own task, where user code runs, and that its end is always reported, even if the task dies; what
//! the end means is the core's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use serde_json::Value;
use tokio::task::AbortHandle;
use tracing::Instrument as _;
use uuid::Uuid;

use super::call_end::{End, in_words_of};
use super::messages::EventOccurred;
use super::{scope, transactional};
use crate::actor::commit::lane_handle::LaneHandle;
use crate::actor::node::context::Node;
use crate::actor::node::definitions::Pinned;
use crate::actor::node::waits::Wait;
use crate::actor::telemetry::traces;
use crate::boundary::{self, Aim};
use crate::config::actor as limits;
use crate::participant::{Place, Scope, expr};
use crate::place::Ticket;
use crate::saga::command::{CallSpec, Command};
use crate::saga::definition::{Action, Call, Millis, Step, Target};
use crate::saga::event::{ApprovalShown, ConditionDecided, Decision, Direction, Event, Showing};
use crate::saga::outcome::{Answer, DecidedBy, Error, Outcome};
use crate::saga::state::State;
use crate::saga::{Json, Law, PlannedStep, Shown, begins_before};

/// One call that is in flight.
pub(crate) struct InFlight {
    pub(crate) step: usize,
    pub(crate) direction: Direction,
    /// Number of the attempt, or of the probe.
    number: u32,
    is_probe: bool,
    /// The law of its saga, if its handler works in a transaction of ours.
    within: Option<Law>,
    ticket: Arc<Ticket>,
    task: AbortHandle,
}

/// Carries out a command that calls nobody; returns what happened.
pub(crate) fn at_once(saga: Uuid, pinned: &Pinned, node: &Node, state: &State, command: Command) -> Option<Event> {
    match command {
        Command::Decide { step } => Some(decide(saga, pinned, node, state, step)),
        Command::Show { step } => Some(show(saga, pinned, node, state, step)),
        Command::Execute { .. } | Command::Probe { .. } => None,
    }
}

/// Evaluates the `when` of a step.
fn decide(saga: Uuid, pinned: &Pinned, node: &Node, state: &State, step: usize) -> Event {
    let scope = scope::of_saga(saga, &pinned.definition, state);
    let decision = match &pinned.definition.step(state, step).when {
        None => Decision::Run,
        Some(when) => match expr::holds(when, &scope) {
            Ok(true) => Decision::Run,
            Ok(false) => Decision::Skip,
            Err(error) => Decision::Failed(error),
        },
    };
    Event::ConditionDecided(ConditionDecided { at: node.lease.clock.now_ms(), step, decision })
}

/// Renders what an approval shows.
fn show(saga: Uuid, pinned: &Pinned, node: &Node, state: &State, step: usize) -> Event {
    let planned = pinned.definition.step(state, step);
    let mut scope = scope::of_saga(saga, &pinned.definition, state);
    scope.step = planned.name.as_str().into();
    let rendered = match &planned.action {
        Action::Approval { message, arguments, .. } => {
            let arguments = arguments.as_ref().map_or_else(|| Ok(Json::null()), |one| expr::render(one, &scope));
            expr::render(message, &scope).and_then(|message| Ok((message.to_value(), arguments?)))
        }
        Action::Call(_) | Action::Await { .. } | Action::Sleep { .. } => {
            Err(Error::new("missing", "the definition has no such approval"))
        }
    };
    let showing = match rendered {
        Ok((Value::String(message), arguments)) => Showing::Shown(Shown::new(&planned.name, message, arguments)),
        Ok((other, arguments)) => Showing::Shown(Shown::new(&planned.name, other.to_string(), arguments)),
        Err(error) => Showing::Failed(error),
    };
    Event::ApprovalShown(ApprovalShown { at: node.lease.clock.now_ms(), step, showing })
}

/// Begins a call in a task of its own and reports its end to the saga.
pub(crate) fn begin(
    saga: Uuid,
    pinned: &Pinned,
    lane: &Arc<LaneHandle>,
    state: &State,
    order: CallSpec,
    report_to: Recipient<EventOccurred>,
) -> InFlight {
    let node = &lane.node;
    let mut scope = scope::of_call(saga, &pinned.definition, state, order);
    let told = node
        .telemetry
        .traces
        .as_ref()
        .and_then(|traces| traces.attempt(saga, &pinned.definition, state, order, node.lease.clock.now_ms()))
        .map(Box::new);
    scope.traceparent = told.as_deref().map(traces::Attempt::traceparent).or_else(|| state.traceparent.clone());
    let scope = Arc::new(scope);
    let plan = Plan::of(pinned, state, order.step);
    let within = !order.is_probe && plan.step().call(order.direction).is_some_and(Call::is_transactional);
    let within = within.then_some(state.law);
    let before = begins_before(&pinned.definition, state, order.step, order.direction);
    // A question may always be asked.
    let before = before.filter(|_| !order.is_probe);
    let ticket = Arc::new(Ticket::new(before.and_then(|before| instant(node, before))));
    let report = Report { lane: lane.clone(), order, told, ticket: ticket.clone(), report_to: Some(report_to) };
    let law = state.law;
    let counts = pinned.counts.clone();
    // Whatever is logged during the call, by a handler too, says whose it is. No payloads. An attempt says it all by
    // itself: its saga and its step are spans only for who wants to know that much.
    let of_saga = tracing::debug_span!(parent: None, "saga", saga.id = %saga, definition = pinned.definition.name());
    let of_step = tracing::debug_span!(parent: &of_saga, "step", step = %scope.step);
    let span = tracing::info_span!(
        parent: &of_step,
        "attempt",
        saga.id = %saga,
        definition = pinned.definition.name(),
        step = %scope.step,
        direction = order.direction.as_str(),
        number = order.number,
        probe = order.is_probe,
    );
    let aim = Aim::of(pinned.definition.name(), order.direction == Direction::Compensation);
    let attempt = async move {
        let [sending, answered] = boundaries(order);
        let _place = match report.place(plan.step(), &scope).await {
            Waited::For(place) => place,
            Waited::TooLong => {
                let end = too_late(&report.lane.node, law, before).await;
                return report.send(end);
            }
            Waited::InVain => return,
        };
        boundary::pass_for(sending, &aim);
        let end = match call(&report.lane.node, plan.step(), order, law, &scope, &report.ticket).await {
            End::NeverBegun => too_late(&report.lane.node, law, before).await,
            end => end,
        };
        boundary::pass_for(answered, &aim);
        if let Some(began) = report.ticket.began().filter(|_| !order.is_probe) {
            counts.took(order.step, order.direction, began.elapsed());
        }
        report.send(end);
    };
    let task = node.work.spawn(attempt.instrument(span));
    let CallSpec { step, direction, number, is_probe, .. } = order;
    InFlight { step, direction, number, is_probe, within, ticket, task: task.abort_handle() }
}

/// A time of the saga as this process counts it.
fn instant(node: &Node, time: Millis) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_millis(time.saturating_sub(node.lease.clock.now_ms())))
}

/// How a call ends that waited for its place for too long: the core decides anew, and nothing was tried. The first law
/// counts it for an attempt that failed.
async fn too_late(node: &Node, law: Law, before: Option<Millis>) -> End {
    while before.is_some_and(|before| node.lease.clock.now_ms() < before) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let message = "the call waited for its place until it was too late to make it";
    match law {
        Law::V1 => {
            let outcome = Outcome::retryable(Error::new("deadline", message), None);
            End::Attempt(outcome, Some(DecidedBy::new("deadline", None)))
        }
        Law::V2 => End::NeverBegun,
    }
}

/// Where a process can die before and after a call.
fn boundaries(order: CallSpec) -> [&'static str; 2] {
    match (order.is_probe, order.direction) {
        (true, _) => ["probe: sending", "probe: answered"],
        (false, Direction::Action) => ["action: sending", "action: answered"],
        (false, Direction::Compensation) => ["compensation: sending", "compensation: answered"],
    }
}

impl InFlight {
    /// Whether an event is the end of this call.
    pub(crate) fn is_ended_by(&self, event: &Event) -> bool {
        match event {
            Event::AttemptEnded(end) => {
                !self.is_probe && (end.step, end.direction, end.attempt) == (self.step, self.direction, self.number)
            }
            Event::ProbeAnswered(end) => {
                self.is_probe && (end.step, end.direction, end.probe) == (self.step, self.direction, self.number)
            }
            // One that has not begun is withdrawn alone, by its own report.
            Event::Withdrawn(withdrawn) => withdrawn.steps.contains(&self.step) && self.ticket.withdraw(),
            Event::Started(_)
            | Event::ConditionDecided(_)
            | Event::ApprovalShown(_)
            | Event::TimerFired(_)
            | Event::OwnerLost(_)
            | Event::Requested(_)
            | Event::RequestRefused(_) => false,
        }
    }

    /// Its end as far as this node will ever know, for a call that does not end though it was given up.
    pub(crate) fn forsaken(&self, node: &Node) -> Event {
        let Self { step, direction, number, .. } = *self;
        let end = match (self.ticket.withdraw(), self.is_probe, self.within) {
            (true, ..) => End::NeverBegun,
            (false, true, _) => End::lost_probe(),
            (false, false, Some(law)) => transactional::not_asked(law),
            (false, false, None) => End::lost_attempt(),
        };
        end.happened(node, step, direction, number).event
    }

    /// Gives the call up; its task reports that its outcome is unknown, or that it never began. One that works in a
    /// transaction of ours asks before it does.
    pub(crate) fn give_up(&self) {
        match self.within.is_some() && !self.ticket.withdraw() {
            true => self.ticket.give_up(),
            false => self.task.abort(),
        }
    }

    /// Takes the call back if it still waits for its place; its task reports that it never began.
    pub(crate) fn withdraw(&self) {
        if self.ticket.withdraw() {
            self.task.abort();
        }
    }
}

impl Drop for InFlight {
    /// A saga that leaves this node takes the calls along that have not begun: they are another's to make.
    fn drop(&mut self) {
        self.withdraw();
    }
}

/// Takes back the calls that still wait for their place although the saga does not want them any more: all of them
/// when it is paused, those of actions when it shall turn back.
pub(crate) fn recall(in_flight: &[InFlight], state: &State) {
    let unwanted =
        |call: &&InFlight| state.paused || (state.turn_back.is_some() && call.direction == Direction::Action);
    in_flight.iter().filter(unwanted).for_each(InFlight::withdraw);
}

async fn call(node: &Node, step: &Step, order: CallSpec, law: Law, scope: &Arc<Scope>, ticket: &Ticket) -> End {
    let Some(call) = step.call(order.direction) else {
        let error = Error::new("missing", "the definition has no such call");
        return End::Attempt(Outcome::unknown(error), None);
    };
    if !order.is_probe && call.is_transactional() {
        return match Box::pin(transactional::call(node, call, law, scope, ticket)).await {
            None => End::NeverBegun,
            Some(End::Attempt(outcome, decided_by)) => End::Attempt(in_words_of(law, outcome), decided_by),
            Some(end) => end,
        };
    }
    if !ticket.begin() {
        // This task is being given up.
        return std::future::pending().await;
    }
    match (order.is_probe, &call.probe) {
        (false, _) => {
            let (outcome, decided_by) = node.participants.execute(call, scope).await;
            End::Attempt(in_words_of(law, outcome), decided_by)
        }
        (true, Some(probe)) => {
            let (answer, decided_by) = node.participants.probe(probe, scope).await;
            End::Probe(answer, Some(decided_by))
        }
        (true, None) => {
            let error = Error::new("missing", "the definition has no such probe");
            End::Probe(Answer::inconclusive(error), None)
        }
    }
}

/// Keeps the step alive for its task: a definition's, or one that a driver appended.
enum Plan {
    Defined(Pinned, usize),
    Appended(Arc<PlannedStep>),
}

impl Plan {
    fn of(pinned: &Pinned, state: &State, step: usize) -> Self {
        match step.checked_sub(pinned.definition.steps().len()) {
            None => Self::Defined(pinned.clone(), step),
            Some(appended) => Self::Appended(state.appended[appended].clone()),
        }
    }

    fn step(&self) -> &Step {
        match self {
            Self::Defined(pinned, step) => &pinned.definition.steps()[*step].step,
            Self::Appended(planned) => &planned.step,
        }
    }
}

/// What came of waiting for a place.
enum Waited {
    For(Place),
    /// The call must not begin any more.
    TooLong,
    /// The saga has left this node.
    InVain,
}

/// Reports the end of a call exactly once: dropped without one, because the task died or was given up, it
/// reports that the outcome is unknown, or that the call had not begun.
struct Report {
    lane: Arc<LaneHandle>,
    order: CallSpec,
    /// The attempt as a span, where somebody is told.
    told: Option<Box<traces::Attempt>>,
    /// Whether the call has begun.
    ticket: Arc<Ticket>,
    report_to: Option<Recipient<EventOccurred>>,
}

impl Report {
    /// Waits until the participant has a place for the call. The lease may be lost meanwhile: then nothing begins
    /// before a beat has confirmed it.
    async fn place(&self, step: &Step, scope: &Scope) -> Waited {
        let call = step.call(self.order.direction);
        let probe = call.and_then(|call| call.probe.as_ref()).filter(|_| self.order.is_probe);
        let target = probe.map(|probe| &probe.target).or(call.map(|call| &call.target));
        match target {
            // A handler has room for all, and hardly ever waits for the lease.
            Some(target) if target.participant().is_some() || !self.lane.may_begin() => {
                Box::pin(self.wait(target, scope)).await
            }
            Some(_) | None => Waited::For(Place::default()),
        }
    }

    /// The same for what may have to wait. Apart, so that a call that need not carries no room for it.
    async fn wait(&self, target: &Target, scope: &Scope) -> Waited {
        let wait = || {
            let participant = target.participant().unwrap_or("itself");
            Wait::of_call(scope, format!("a place at participant {participant}"))
        };
        let node = &self.lane.node;
        let free = node.waits.during(&node.lease.clock, wait, node.participants.place(target));
        let trusted = async {
            let place = free.await;
            while !self.lane.may_begin() {
                if self.report_to.as_ref().is_none_or(|saga| !saga.connected()) {
                    return Waited::InVain;
                }
                tokio::time::sleep(Duration::from_millis(limits::DISTRUST_PAUSE_MS)).await;
            }
            Waited::For(place)
        };
        self.ticket.wait(trusted).await.unwrap_or(Waited::TooLong)
    }

    fn send(mut self, end: End) {
        self.tell(end);
    }

    fn tell(&mut self, end: End) {
        let Some(report_to) = self.report_to.take() else { return };
        let CallSpec { step, direction, number, is_probe, .. } = self.order;
        let node = &self.lane.node;
        if let (Some(traces), Some(told)) = (&node.telemetry.traces, self.told.take()) {
            let (outcome, code) = end.in_words();
            traces.ended(*told, is_probe, outcome, code);
        }
        report_to.do_send(end.happened(node, step, direction, number));
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.tell(match (self.ticket.withdraw(), self.order.is_probe) {
            (true, _) => End::NeverBegun,
            (false, true) => End::lost_probe(),
            (false, false) => End::lost_attempt(),
        });
    }
}
