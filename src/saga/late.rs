//! Requests that came after a deadline. Owns which deadlines apply to a request. Also names the deadline in the
//! refusal, even after its timer has fired. `request.rs` decides whether a request is otherwise legal.

use super::advance;
use super::definition::{Action, Millis};
use super::driver;
use super::event::{Request, Requested};
use super::law::Law;
use super::mailbox;
use super::state::{Phase, StuckReason, TurnBack};
use super::tally::Tally;
use super::transition::IllegalEvent;
use super::transition_context::TransitionContext;

/// Error code of a step whose wait has passed its deadline.
pub(super) const DEADLINE: &str = "deadline";

const OF_SAGA: &str = "the saga's deadline has passed, and it turns back";
const OF_DRIVER: &str = "the driver was not heard from within its lease";
const OF_PLAN: &str = "the saga's plan was closed at its deadline, or when its driver's lease was over";

/// Subject of a request that can come too late.
enum About {
    /// The step that the request names, or the step that waits for the event.
    Step(usize),
    /// The step whose wait for this event has passed its deadline.
    Over(usize),
    /// An event that no step waits for.
    Event,
    /// The plan of an open saga.
    Plan,
    /// A step that does not exist in the saga.
    Unknown,
}

/// Returns the subject of a request. None for a request that is never too late: cancel, retry, resolve, pause,
/// resume, abandon, evict, abort.
fn about(ctx: &TransitionContext<'_>, request: &Request) -> Option<About> {
    let named = |step: &str| ctx.definition.index_of(&ctx.state, step).map_or(About::Unknown, About::Step);
    match request {
        Request::Approve { step, .. } | Request::Deny { step, .. } | Request::Skip { step, .. } => Some(named(step)),
        Request::Provide { event, .. } => Some(match mailbox::waiting_for(ctx, event) {
            Some((step, _)) => About::Step(step),
            None => over_for(ctx, event).map_or(About::Event, About::Over),
        }),
        Request::Append { .. } | Request::Commit | Request::Touch => Some(About::Plan),
        Request::Cancel { .. }
        | Request::Retry { .. }
        | Request::Resolve { .. }
        | Request::Pause { .. }
        | Request::Resume { .. }
        | Request::Abandon { .. }
        | Request::Evict { .. }
        | Request::Abort { .. } => None,
    }
}

/// Refuses a request that was made after a deadline, whenever it is read.
pub(super) fn in_time(ctx: &TransitionContext<'_>, event: &Requested) -> Result<(), IllegalEvent> {
    if ctx.law() == Law::V1 {
        return Ok(());
    }
    let Some(about) = about(ctx, &event.request) else { return Ok(()) };
    let asked_at = asked_at(ctx, event);
    let passed = |until: Option<Millis>| until.is_some_and(|until| until <= asked_at);
    let over = |step: usize| {
        let phase = ctx.state.steps[step].phase;
        let skips = matches!(event.request, Request::Skip { .. });
        // An operator may skip a stuck step, and the driver of an open saga may skip a failed step.
        let may_skip = skips && (phase != Phase::Failed || driver::driven(ctx).is_ok());
        passed(phase.waits_until()) || is_over(ctx, step) && !may_skip
    };
    let waited = match about {
        About::Over(step) => Some(step),
        About::Step(step) => Some(step).filter(|&step| over(step)),
        About::Event | About::Plan | About::Unknown => None,
    };
    if let Some(step) = waited {
        let name = &ctx.definition.step(&ctx.state, step).name;
        return Err(IllegalEvent::deadline_passed(&format!("step {name:?} has waited as long as it may")));
    }
    let [deadline, lease] = advance::limits(ctx.definition, &ctx.state);
    if passed(deadline) {
        return Err(IllegalEvent::deadline_passed(OF_SAGA));
    }
    if matches!(about, About::Plan) && passed(lease) {
        return Err(IllegalEvent::deadline_passed(OF_DRIVER));
    }
    Ok(())
}

/// Returns the reason of a refusal. It names a deadline if that deadline had made the request illegal before it was
/// read.
pub(super) fn explained(ctx: &TransitionContext<'_>, event: &Requested, refusal: IllegalEvent) -> IllegalEvent {
    let about = about(ctx, &event.request).filter(|_| ctx.law() >= Law::V2);
    let answers = matches!(event.request, Request::Approve { .. } | Request::Deny { .. });
    let asks = |step| matches!(ctx.definition.step(&ctx.state, step).action, Action::Approval { .. });
    let of_plan = match about {
        None | Some(About::Unknown) => return refusal,
        Some(About::Step(step)) if answers && !asks(step) => return refusal,
        Some(About::Step(_) | About::Over(_) | About::Event) => false,
        Some(About::Plan) if ctx.definition.lease_ms().is_none() => return refusal,
        Some(About::Plan) => true,
    };
    match &ctx.state.turn_back {
        Some(TurnBack::Deadline) => IllegalEvent::deadline_passed(OF_SAGA),
        Some(TurnBack::DriverLost) => IllegalEvent::deadline_passed(OF_DRIVER),
        None if of_plan && ctx.state.plan_expired => IllegalEvent::deadline_passed(OF_PLAN),
        Some(TurnBack::StepFailed { .. } | TurnBack::Asked { .. }) | None => refusal,
    }
}

/// Returns when a request was made, but no later than the saga's own time.
pub(super) fn asked_at(ctx: &TransitionContext<'_>, event: &Requested) -> Millis {
    event.asked_at.unwrap_or(ctx.at).min(ctx.at)
}

/// Returns the step whose wait for this event has passed its deadline. None while some step waits for the event or
/// will wait for it.
fn over_for(ctx: &TransitionContext<'_>, event: &str) -> Option<usize> {
    let steps = || 0..ctx.state.steps.len();
    let mut awaited = steps().filter_map(|step| mailbox::awaited(ctx.definition, &ctx.state, step));
    if awaited.any(|(awaited, _)| awaited == event) {
        return None;
    }
    let over = |step: usize| match &ctx.definition.step(&ctx.state, step).action {
        Action::Await { event: awaited, .. } => awaited == event && is_over(ctx, step),
        Action::Call(_) => is_over_for_call(ctx, step, event),
        Action::Sleep { .. } | Action::Approval { .. } => false,
    };
    steps().find(|&step| over(step))
}

/// Returns whether a step failed because its wait for an event or a person passed the deadline.
fn is_over(ctx: &TransitionContext<'_>, step: usize) -> bool {
    let one = &ctx.state.steps[step];
    let waited = match ctx.definition.step(&ctx.state, step).action {
        Action::Await { .. } | Action::Approval { .. } => true,
        Action::Call(_) | Action::Sleep { .. } => false,
    };
    waited && matches!(one.phase, Phase::Failed | Phase::Stuck { .. }) && is_late(&one.action)
}

/// Returns whether the wait for a pending call passed its deadline, and this event would have reported the call.
fn is_over_for_call(ctx: &TransitionContext<'_>, step: usize, event: &str) -> bool {
    let one = &ctx.state.steps[step];
    let Phase::Stuck { direction, reason: StuckReason::InDoubt } = one.phase else { return false };
    let tally = one.tally(direction);
    let name = &ctx.definition.step(&ctx.state, step).name;
    tally.evidence().pending && is_late(tally) && mailbox::word_of(name, direction) == event
}

fn is_late(tally: &Tally) -> bool {
    tally.error.as_ref().is_some_and(|error| error.code == DEADLINE)
}
