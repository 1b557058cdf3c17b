//! Events from outside. Owns the delivery of an event to the step that waits for it, and the mailbox for events that
//! come before their step. `request.rs` applies the request to provide one.

use std::sync::Arc;

use super::Json;
use super::definition::Action;
use super::event::Direction;
use super::plan::Definition;
use super::state::{Activity, Course, Phase, State};
use super::traits::Traits;
use super::transition::IllegalEvent;
use super::transition_context::TransitionContext;

/// Largest number of events that a saga's mailbox holds for later steps.
pub const MAILBOX_MAX: usize = 64;

/// Returns the step that waits for an event now, if there is one.
pub(super) fn waiting_for(ctx: &TransitionContext<'_>, event: &str) -> Option<(usize, Direction)> {
    let mut waiting = ctx.state.steps.having(Traits::AWAITING);
    waiting.find_map(|step| match awaited(ctx.definition, &ctx.state, step) {
        Some((awaited, Some(direction))) if awaited == event => Some((step, direction)),
        Some(_) | None => None,
    })
}

/// Gives an event to the step that waits for it, or keeps it for a step that will wait for it.
pub(super) fn provide(ctx: &mut TransitionContext<'_>, event: &str, payload: &Json) -> Result<(), IllegalEvent> {
    if let Some((step, direction)) = waiting_for(ctx, event) {
        ctx.succeed(step, direction, payload.clone());
        return Ok(());
    }
    if ctx.state.course == Course::Backward || ctx.state.turn_back.is_some() {
        return Err(IllegalEvent::new(format!("nothing waits for the event {event:?}: the saga is turning back")));
    }
    let will_wait = (0..ctx.state.steps.len())
        .filter_map(|step| awaited(ctx.definition, &ctx.state, step))
        .any(|(awaited, _)| awaited == event);
    let plan_open = ctx.state.lease_until.is_some();
    if !will_wait && !plan_open {
        return Err(IllegalEvent::new(format!("no step of the saga waits or will wait for the event {event:?}")));
    }
    if ctx.state.mailbox.contains_key(event) {
        return Err(IllegalEvent::new(format!("the event {event:?} was provided already")));
    }
    if ctx.state.mailbox.len() >= MAILBOX_MAX {
        return Err(IllegalEvent::new(format!("the mailbox is full: {MAILBOX_MAX} events wait in it already")));
    }
    Arc::make_mut(&mut ctx.state.mailbox).insert(event.to_owned(), payload.clone());
    Ok(())
}

/// Returns the name of the event that reports a pending call. For an action it is the step's name, for a compensation
/// `NAME.compensation`, so that a report about the action is never taken for one about the compensation.
pub(super) fn word_of(step: &str, direction: Direction) -> String {
    match direction {
        Direction::Action => step.to_owned(),
        Direction::Compensation => format!("{step}.compensation"),
    }
}

/// Returns the event that a step waits for, with the direction. For a step that has not begun, returns the event that
/// it will wait for, without a direction.
pub(super) fn awaited(definition: &Definition, state: &State, index: usize) -> Option<(String, Option<Direction>)> {
    let planned = definition.step(state, index);
    let by_nature = match &planned.action {
        Action::Await { event, .. } => Some(event.clone()),
        Action::Call(_) | Action::Sleep { .. } | Action::Approval { .. } => None,
    };
    match state.steps[index].phase {
        Phase::Waiting | Phase::Deciding => by_nature.map(|event| (event, None)),
        Phase::Active { direction, activity: Activity::Awaiting { .. } } => {
            let of_action = by_nature.filter(|_| direction == Direction::Action);
            Some((of_action.unwrap_or_else(|| word_of(&planned.name, direction)), Some(direction)))
        }
        Phase::Active { .. }
        | Phase::Skipped
        | Phase::Done
        | Phase::Failed
        | Phase::Undone(_)
        | Phase::Stuck { .. } => None,
    }
}
