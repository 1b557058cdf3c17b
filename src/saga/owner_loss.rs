//! What an owner leaves behind. Owns the calls that were under way when a process died, and those that it
//! hands back unbegun.

use super::command::Command;
use super::definition::Millis;
use super::doubt;
use super::event::{Direction, OwnerLost, Withdrawn};
use super::law::Law;
use super::outcome::Error;
use super::plan::Definition;
use super::retry;
use super::state::{Activity, Phase, State, StepState, StuckReason};
use super::transition::{IllegalEvent, command_of, outstanding};
use super::transition_context::TransitionContext;

/// From one death before this on, a call is suspected: it begins only when it is tried alone. Only of a call
/// under which so many processes died can a trial say that they died of it.
pub const LOST_MAX: u32 = 3;

/// Whether a call is under way during which so many processes died in a row that it is to be alone on its node.
pub fn suspected(state: &State) -> bool {
    outstanding(state).into_iter().any(|command| match command {
        // Expressions run in the process, too.
        Command::Decide { step } | Command::Show { step } => state.steps[step].action.lost + 1 >= LOST_MAX,
        Command::Execute { step, direction, .. } => state.steps[step].tally(direction).lost + 1 >= LOST_MAX,
        Command::Probe { step, direction, .. } => state.steps[step].tally(direction).probes_lost + 1 >= LOST_MAX,
    })
}

/// Returns how many processes died in a row during one call or probe, where that is most; of calls that are
/// not over, whether one is under way now or waits for its next attempt.
pub fn deaths_in_a_row(state: &State) -> u32 {
    let of_step = |step: &StepState| match step.phase {
        Phase::Deciding => step.action.lost,
        Phase::Active { direction, .. } => {
            let tally = step.tally(direction);
            tally.lost.max(tally.probes_lost)
        }
        Phase::Waiting | Phase::Skipped | Phase::Done | Phase::Failed | Phase::Undone(_) | Phase::Stuck { .. } => 0,
    };
    state.steps.iter().map(|step| of_step(step)).max().unwrap_or(0)
}

/// Whether a call waits for a person now that `lost` processes in a row died during it. A death proves
/// nothing by itself: processes are killed from outside, too. Lone trials do, and the event says what came of
/// them.
fn convicts(law: Law, event: &OwnerLost, lost: u32) -> bool {
    let enough = lost >= LOST_MAX;
    match law {
        Law::V1 => enough,
        Law::V2 => event.convicted && enough,
    }
}

/// What was in flight is lost with its process: attempts are unknown, questions are asked again, and a step
/// that was found to kill its process waits for a person.
pub(super) fn lost(ctx: &mut TransitionContext<'_>, event: &OwnerLost) -> Result<(), IllegalEvent> {
    let commands = outstanding(&ctx.state);
    if commands.is_empty() {
        return Err(IllegalEvent::new("nothing was in flight, so nothing is lost"));
    }
    let error = || Error::new("process_died", "the process died while the call was under way");
    for command in commands {
        let (step, direction) = match command {
            Command::Decide { step } | Command::Show { step } => (step, Direction::Action),
            Command::Execute { step, direction, .. } | Command::Probe { step, direction, .. } => (step, direction),
        };
        let law = ctx.law();
        let tally = ctx.state.step_mut(step).tally_mut(direction);
        let lost = match command {
            Command::Decide { .. } | Command::Show { .. } | Command::Execute { .. } => &mut tally.lost,
            Command::Probe { .. } => &mut tally.probes_lost,
        };
        *lost += 1;
        let poison = convicts(law, event, *lost);
        match command {
            Command::Decide { .. } => ctx.put(step, Phase::Waiting),
            // Nobody was asked yet; it is rendered anew.
            Command::Show { .. } => {}
            Command::Execute { .. } => {
                let ended_at = ended_at_the_latest(ctx, step, direction);
                doubt::enter(ctx, step, direction, error(), ended_at);
                if !poison {
                    doubt::leave(ctx, step, direction);
                }
            }
            Command::Probe { .. } => {
                ctx.state.step_mut(step).tally_mut(direction).error = Some(Box::new(error()));
                ctx.set(step, direction, Activity::Settling { until: ctx.at });
            }
        }
        if poison {
            ctx.mark_stuck(step, direction, StuckReason::ProcessDied);
        }
    }
    Ok(())
}

/// A process that is given up may still live, cut off: its attempt ends with its time-out, whatever the new
/// owner believes. The attempt may have waited for its place, and have begun as late as the process was trusted.
fn ended_at_the_latest(ctx: &TransitionContext<'_>, step: usize, direction: Direction) -> u64 {
    let began = match ctx.law() {
        Law::V1 => ctx.state.steps[step].tally(direction).attempt_at.unwrap_or(ctx.at),
        Law::V2 => ctx.at,
    };
    let timeout = ctx.call(step, direction).map_or(0, |call| call.timeout_ms);
    began.saturating_add(timeout).max(ctx.at)
}

/// From when on the attempt of a step that was asked for must not begin any more, if it still waits for its place then.
pub fn begins_before(definition: &Definition, state: &State, step: usize, direction: Direction) -> Option<Millis> {
    let call = definition.step(state, step).call(direction)?;
    let before = retry::begins_before(call, state.steps[step].tally(direction));
    let compensates_before = match direction {
        Direction::Action => None,
        Direction::Compensation => doubt::compensates_before(definition, state, step),
    };
    before.into_iter().chain(compensates_before).min()
}

/// What was asked for and not begun is as if it had not been asked for; the next owner begins it with its
/// first timer.
pub(super) fn withdrawn(ctx: &mut TransitionContext<'_>, event: &Withdrawn) -> Result<(), IllegalEvent> {
    for &step in &event.steps {
        let command = ctx.state.steps.get(step).and_then(|one| command_of(step, one));
        let until = ctx.at;
        match command {
            None | Some(Command::Decide { .. } | Command::Show { .. }) => {
                return Err(IllegalEvent::new(format!("step {step} has neither an attempt nor a probe to withdraw")));
            }
            Some(Command::Probe { direction, .. }) => {
                ctx.state.step_mut(step).tally_mut(direction).probes -= 1;
                ctx.set(step, direction, Activity::Settling { until });
            }
            Some(Command::Execute { direction, .. }) => {
                let tally = ctx.state.steps[step].tally(direction);
                // A step whose deadline passed while its call waited for a place does not begin again.
                let over = ctx.law() >= Law::V2
                    && ctx.call(step, direction).is_some_and(|call| !retry::in_time(call, tally, ctx.at));
                let tally = ctx.state.step_mut(step).tally_mut(direction);
                tally.attempts -= 1;
                if tally.attempts == tally.attempts_forgiven && !over {
                    tally.first_at = None;
                }
                ctx.set(step, direction, Activity::BackingOff { until });
            }
        }
    }
    Ok(())
}
