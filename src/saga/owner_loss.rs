//! The loss of an owner. Owns what happens to the calls that were under way when a process died, and to the calls
//! that an owner hands back before they begin.

use super::command::Command;
use super::definition::Millis;
use super::doubt;
use super::event::{Direction, OwnerLost, Withdrawn};
use super::law::Law;
use super::outcome::Error;
use super::plan::Definition;
use super::retry;
use super::state::{Activity, Phase, State, StepState, StuckReason};
use super::traits::Traits;
use super::transition::{IllegalEvent, command_of, outstanding};
use super::transition_context::TransitionContext;

/// Number of deaths in a row during a call after which the call can be convicted of killing its process. One death
/// earlier the call is suspected: it runs only in quarantine. Under law V2 only a trial in quarantine convicts a
/// call, because a process may die for other reasons.
pub const LOST_MAX: u32 = 3;

/// Returns whether a call under way is suspected, so that it must run in quarantine.
pub fn suspected(state: &State) -> bool {
    outstanding(state).into_iter().any(|command| match command {
        // Expressions run in the process, too.
        Command::Decide { step } | Command::Show { step } => state.steps[step].action.lost + 1 >= LOST_MAX,
        Command::Execute { step, direction, .. } => state.steps[step].tally(direction).lost + 1 >= LOST_MAX,
        Command::Probe { step, direction, .. } => state.steps[step].tally(direction).probes_lost + 1 >= LOST_MAX,
    })
}

/// Returns the largest number of processes that died in a row during one call or probe. Counts calls that are not
/// over, both those under way and those that wait for their next attempt.
pub fn deaths_in_a_row(state: &State) -> u32 {
    let of_step = |step: &StepState| match step.phase {
        Phase::Deciding => step.action.lost,
        Phase::Active { direction, .. } => {
            let tally = step.tally(direction);
            tally.lost.max(tally.probes_lost)
        }
        Phase::Waiting | Phase::Skipped | Phase::Done | Phase::Failed | Phase::Undone(_) | Phase::Stuck { .. } => 0,
    };
    let under_way = state.steps.having(Traits::UNDER_WAY);
    under_way.map(|index| of_step(&state.steps[index])).max().unwrap_or(0)
}

/// Returns whether a call needs a person now that `lost` processes in a row died during it. A death alone proves
/// nothing, because a process may also be killed from outside. Under law V2 only a trial in quarantine is proof; the
/// event carries its result.
fn convicts(law: Law, event: &OwnerLost, lost: u32) -> bool {
    let enough = lost >= LOST_MAX;
    match law {
        Law::V1 => enough,
        Law::V2 => event.convicted && enough,
    }
}

/// Handles the loss of all calls in flight with their process. The effect of an attempt is unknown, probes are asked
/// again, and a convicted step needs a person.
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
        let tally = ctx.step_mut(step).tally_mut(direction);
        let lost = match command {
            Command::Decide { .. } | Command::Show { .. } | Command::Execute { .. } => &mut tally.lost,
            Command::Probe { .. } => &mut tally.probes_lost,
        };
        *lost += 1;
        let poison = convicts(law, event, *lost);
        match command {
            Command::Decide { .. } => ctx.put(step, Phase::Waiting),
            // The question was not asked yet. It is rendered again.
            Command::Show { .. } => {}
            Command::Execute { .. } => {
                let ended_at = ended_at_the_latest(ctx, step, direction);
                doubt::enter(ctx, step, direction, error(), ended_at);
                if !poison {
                    doubt::leave(ctx, step, direction);
                }
            }
            Command::Probe { .. } => {
                ctx.step_mut(step).tally_mut(direction).error = Some(Box::new(error()));
                ctx.set(step, direction, Activity::Settling { until: ctx.at });
            }
        }
        if poison {
            ctx.mark_stuck(step, direction, StuckReason::ProcessDied);
        }
    }
    Ok(())
}

/// Returns the latest possible end of a lost attempt. A process that was given up may still live in a network
/// partition; its attempt then ends with the time-out. Under law V2 the attempt may have waited for a place
/// (`place.rs`) and begun at any time until now.
fn ended_at_the_latest(ctx: &TransitionContext<'_>, step: usize, direction: Direction) -> u64 {
    let began = match ctx.law() {
        Law::V1 => ctx.state.steps[step].tally(direction).attempt_at.unwrap_or(ctx.at),
        Law::V2 => ctx.at,
    };
    let timeout = ctx.call(step, direction).map_or(0, |call| call.timeout_ms);
    began.saturating_add(timeout).max(ctx.at)
}

/// Returns the time from which the attempt of a step must not begin any more. Used for an attempt that still waits
/// for a place (`place.rs`).
pub fn begins_before(definition: &Definition, state: &State, step: usize, direction: Direction) -> Option<Millis> {
    let call = definition.step(state, step).call(direction)?;
    let before = retry::begins_before(call, state.steps[step].tally(direction));
    let compensates_before = match direction {
        Direction::Action => None,
        Direction::Compensation => doubt::compensates_before(definition, state, step),
    };
    before.into_iter().chain(compensates_before).min()
}

/// Takes back calls that were asked for and not begun, as if they had not been asked for. The next owner begins them
/// with its first timer.
pub(super) fn withdrawn(ctx: &mut TransitionContext<'_>, event: &Withdrawn) -> Result<(), IllegalEvent> {
    for &step in &event.steps {
        let command = ctx.state.steps.get(step).and_then(|one| command_of(step, one));
        let until = ctx.at;
        match command {
            None | Some(Command::Decide { .. } | Command::Show { .. }) => {
                return Err(IllegalEvent::new(format!("step {step} has neither an attempt nor a probe to withdraw")));
            }
            Some(Command::Probe { direction, .. }) => {
                ctx.step_mut(step).tally_mut(direction).probes -= 1;
                ctx.set(step, direction, Activity::Settling { until });
            }
            Some(Command::Execute { direction, .. }) => {
                let tally = ctx.state.steps[step].tally(direction);
                // A step whose deadline passed while its call waited for a place does not begin again.
                let over = ctx.law() >= Law::V2
                    && ctx.call(step, direction).is_some_and(|call| !retry::in_time(call, tally, ctx.at));
                let tally = ctx.step_mut(step).tally_mut(direction);
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
