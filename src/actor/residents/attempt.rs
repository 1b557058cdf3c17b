//! Carries out one command of the core: evaluates a condition, renders an approval, makes an attempt or asks a probe.
//! Owns the task of each call, where user code runs, and reports the call's end even if the task dies. Leaves the
//! meaning of the end to the core.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use serde_json::Value;
use tokio::task::AbortHandle;
use tracing::Instrument as _;
use uuid::Uuid;

use super::call_end::{End, in_words_of};
use super::messages::EventOccurred;
use super::{scope, shortage, transactional};
use crate::actor::commit::lane_handle::LaneHandle;
use crate::actor::node::context::Node;
use crate::actor::node::definitions::Pinned;
use crate::actor::node::waits::Wait;
use crate::actor::telemetry::traces;
use crate::boundary::{self, Aim};
use crate::config::actor as limits;
use crate::evaluation::shortly;
use crate::participant::{Place, Scope, expr};
use crate::place::Ticket;
use crate::saga::command::{CallSpec, Command};
use crate::saga::definition::{Action, Call, Millis, Step, Target};
use crate::saga::event::{ApprovalShown, ConditionDecided, Decision, Direction, Event, Showing};
use crate::saga::outcome::{Answer, DecidedBy, Error, Outcome};
use crate::saga::state::State;
use crate::saga::{Json, Law, PlannedStep, Shown, begins_before};

/// Call in flight.
pub(crate) struct InFlight {
    pub(crate) step: usize,
    pub(crate) direction: Direction,
    /// Number of the attempt, or of the probe.
    number: u32,
    is_probe: bool,
    /// Law of the saga, if this is an attempt whose handler works in a transaction of this node; otherwise none.
    within: Option<Law>,
    ticket: Arc<Ticket>,
    task: AbortHandle,
}

/// Evaluates what a step says, for the event of a command that needs no call.
type Evaluation = fn(Uuid, &Pinned, &Node, &State, usize) -> Event;

/// The event of a command that needs no call.
pub(crate) enum AtOnce {
    Now(Event),
    /// Its evaluation takes long, and runs on another thread.
    Later(Box<dyn FnOnce() -> Event + Send>),
}

/// Carries out a command that needs no call, and returns its event; none for a command that needs one.
pub(crate) fn at_once(
    saga: Uuid,
    pinned: &Pinned,
    node: &Arc<Node>,
    state: &State,
    command: Command,
) -> Option<AtOnce> {
    let (carry_out, step) = match command {
        Command::Decide { step } => (decide as Evaluation, step),
        Command::Show { step } => (show as Evaluation, step),
        Command::Execute { .. } | Command::Probe { .. } => return None,
    };
    Some(match shortly(|| carry_out(saga, pinned, node, state, step)) {
        Some(event) => AtOnce::Now(event),
        None => {
            let (pinned, node, state) = (pinned.clone(), Arc::clone(node), state.clone());
            AtOnce::Later(Box::new(move || carry_out(saga, &pinned, &node, &state, step)))
        }
    })
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

/// Begins a call in a task of its own, which reports the call's end to the saga.
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
    let plan = Plan::find(pinned, state, order.step);
    let within = !order.is_probe && plan.step().call(order.direction).is_some_and(Call::is_transactional);
    let within = within.then_some(state.law);
    let before = begins_before(&pinned.definition, state, order.step, order.direction);
    // A probe may begin at any time.
    let before = before.filter(|_| !order.is_probe);
    let ticket = Arc::new(Ticket::new(before.and_then(|before| instant(node, before))));
    let report = Report { lane: lane.clone(), order, told, ticket: ticket.clone(), report_to: Some(report_to) };
    let law = state.law;
    let counts = pinned.counts.clone();
    // Every log line of the call, including a handler's, carries its saga and step, but no payload. The attempt's
    // span has all of these fields; the spans of the saga and the step appear only at level debug.
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
    let aim = Aim::new(pinned.definition.name(), order.direction == Direction::Compensation);
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

/// Converts a database time to this process's clock.
fn instant(node: &Node, time: Millis) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_millis(time.saturating_sub(node.lease.clock.now_ms())))
}

/// Returns the end of a call that waited for its place until it was too late to begin. Nothing was tried, and the
/// core decides again; law V1 counts it as a failed attempt. Returns only once the database's clock has reached
/// `before`.
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

/// Returns the boundaries before and after a call, at which crash tests kill the process.
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
            // A call that has not begun is withdrawn by its own report, which names no other step.
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

    /// Returns the end of a call that was given up and still has not ended, as far as this node will ever know it.
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

    /// Gives the call up. Its task reports that the outcome is unknown, or that the call never began. A transactional
    /// call that has begun first asks its session about the transaction.
    pub(crate) fn give_up(&self) {
        match self.within.is_some() && !self.ticket.withdraw() {
            true => self.ticket.give_up(),
            false => self.task.abort(),
        }
    }

    /// Withdraws the call if it still waits for its place. Its task then reports that it never began.
    pub(crate) fn withdraw(&self) {
        if self.ticket.withdraw() {
            self.task.abort();
        }
    }
}

impl Drop for InFlight {
    /// Withdraws the call if it has not begun: when its saga leaves this node, the next owner makes the call.
    fn drop(&mut self) {
        self.withdraw();
    }
}

/// Withdraws the calls that still wait for their place and that the saga no longer wants: all of them if it is
/// paused, those of actions if it turns back.
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
        // The call was withdrawn: this task is about to be aborted.
        return std::future::pending().await;
    }
    let end = match (order.is_probe, &call.probe) {
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
    };
    if shortage::is_it(&end) { Box::pin(shortage::outlast(node, law, ticket, end)).await } else { end }
}

/// The step of a call, kept alive for the call's task: one of the definition, or one that a driver appended.
enum Plan {
    Defined(Pinned, usize),
    Appended(Arc<PlannedStep>),
}

impl Plan {
    fn find(pinned: &Pinned, state: &State, step: usize) -> Self {
        match step.checked_sub(pinned.definition.steps().len()) {
            None => Self::Defined(pinned.clone(), step),
            Some(appended) => Self::Appended(state.appended.steps()[appended].clone()),
        }
    }

    fn step(&self) -> &Step {
        match self {
            Self::Defined(pinned, step) => &pinned.definition.steps()[*step].step,
            Self::Appended(planned) => &planned.step,
        }
    }
}

/// Result of the wait for a place.
enum Waited {
    For(Place),
    /// It is too late for the call to begin.
    TooLong,
    /// The saga has left this node.
    InVain,
}

/// Reports the end of a call exactly once. If the task dies or is given up, the drop reports that the outcome is
/// unknown, or that the call had not begun.
struct Report {
    lane: Arc<LaneHandle>,
    order: CallSpec,
    /// Span of the call; none if it is not traced.
    told: Option<Box<traces::Attempt>>,
    /// Whether the call has begun.
    ticket: Arc<Ticket>,
    report_to: Option<Recipient<EventOccurred>>,
}

impl Report {
    /// Waits until the participant has a place for the call. If the lease is no longer trusted by then, waits until a
    /// beat has confirmed it.
    async fn place(&self, step: &Step, scope: &Scope) -> Waited {
        let call = step.call(self.order.direction);
        let probe = call.and_then(|call| call.probe.as_ref()).filter(|_| self.order.is_probe);
        let target = probe.map(|probe| &probe.target).or(call.map(|call| &call.target));
        match target {
            // A handler has no limit of places. It waits only while the lease is not trusted, which is rare.
            Some(target) if target.participant().is_some() || !self.lane.may_begin() => {
                Box::pin(self.wait(target, scope)).await
            }
            Some(_) | None => Waited::For(Place::default()),
        }
    }

    /// Waits for the place and for the lease. A separate function keeps the future of a call that need not wait
    /// small.
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
