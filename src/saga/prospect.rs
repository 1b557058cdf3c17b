//! Predicts what follows an outcome, by a run of the transition function on a made-up saga. For authors of
//! definitions (`explain`) and for the table in the guide, so that both state what the code does.

use std::sync::Arc;

use super::definition::{Call, Draft, Millis, Step};
use super::event::{AttemptEnded, Direction, Event, ProbeAnswered, Started, TimerFired};
use super::outcome::{Answer, Error, Outcome};
use super::plan::Definition;
use super::state::{Activity, Course, Phase, State, StuckReason, Undone};
use super::transition::{begin, transition};
use super::{Json, next_timer};

/// What follows an outcome or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The step is done.
    Done,
    /// The effect is undone.
    Undone,
    /// Another attempt follows.
    Repeat {
        /// Whether it takes a new key.
        new_key: bool,
    },
    /// The probe is asked.
    Probe,
    /// The step waits for an event.
    Await,
    /// The saga turns back. The step is compensated although it is unknown whether there is an effect to undo.
    CompensateUnknown,
    /// The saga turns back. The effect, if there is one, stays.
    Leave,
    /// The step failed without an effect, and the saga turns back.
    TurnBack,
    /// The step needs a person.
    Stuck(StuckReason),
}

/// What follows an outcome. If a probe is asked, also what follows its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prospect {
    /// What follows at once.
    pub next: Next,
    /// What follows if the probe finds the effect in place.
    pub applied: Option<Next>,
    /// What follows if the probe finds no effect after the settle window.
    pub absent: Option<Next>,
    /// What follows if every answer of the probe is inconclusive.
    pub inconclusive: Option<Next>,
}

/// Returns what follows when the first attempt of a step's call ends with this outcome. None if the step has no such
/// call, or if no definition could hold the step.
pub fn prospect(step: &Step, direction: Direction, outcome: &Outcome) -> Option<Prospect> {
    let (definition, state) = attempting(step, direction)?;
    let event = ended(direction, outcome.clone());
    let (state, _) = transition(&definition, &state, &event).ok()?;
    let next = next(&definition, &state, direction)?;
    let asked = matches!(next, Next::Probe);
    let answered = |answer| {
        let state = asked.then(|| settled(&definition, &state, direction)).flatten()?;
        self::next(&definition, &answer_until_moved(&definition, state, direction, answer)?, direction)
    };
    let inconclusive = Answer::inconclusive(Error::new("prospect", "it cannot tell"));
    Some(Prospect {
        next,
        applied: answered(Answer::Applied { output: Json::null() }),
        absent: answered(Answer::Absent),
        inconclusive: answered(inconclusive),
    })
}

/// Makes a saga in which the first attempt of the call is in flight.
fn attempting(step: &Step, direction: Direction) -> Option<(Arc<Definition>, State)> {
    let alone = Step { needs: Vec::new(), when: None, ..step.clone() };
    let after = if step.name == "after" { "then" } else { "after" };
    let mut draft = Draft::new("prospect").step(alone);
    if direction == Direction::Compensation {
        step.compensation.as_ref()?;
        draft = draft.step(Step::new(after, Call::handler(after)).irreversible().needs([step.name.as_str()]));
    }
    let definition = Definition::build(draft).ok()?;
    let (mut state, _) = begin(&definition, &Started::new(0, Json::null()));
    if direction == Direction::Compensation {
        let done = ended(Direction::Action, Outcome::Succeeded { output: Json::null() });
        let refused = Outcome::failed(Error::new("prospect", "refused"));
        let refused = AttemptEnded { step: 1, ..attempt(Direction::Action, refused) };
        for event in [done, Event::AttemptEnded(refused)] {
            state = transition(&definition, &state, &event).ok()?.0;
        }
    }
    Some((definition, state))
}

fn ended(direction: Direction, outcome: Outcome) -> Event {
    Event::AttemptEnded(attempt(direction, outcome))
}

fn attempt(direction: Direction, outcome: Outcome) -> AttemptEnded {
    AttemptEnded { at: 0, step: 0, direction, attempt: 1, outcome, decided_by: None, jitter: 0.0 }
}

/// Returns the saga when the probe is asked after the settle window.
fn settled(definition: &Definition, state: &State, direction: Direction) -> Option<State> {
    let call = definition.draft().steps[0].call(direction);
    let settle_ms = call.map_or(0, |call| call.settle_ms);
    let mut state = state.clone();
    if let Phase::Active { activity: Activity::Probing, .. } = state.steps[0].phase {
        // A probe before the settle window ends proves nothing.
        state = answer(definition, &state, direction, state.at, Answer::Absent)?;
    }
    fire(definition, state, settle_ms)
}

/// Fires the next timer, if the step waits for its probe.
fn fire(definition: &Definition, state: State, least: Millis) -> Option<State> {
    match state.steps[0].phase {
        Phase::Active { activity: Activity::Settling { .. }, .. } => {
            let at = next_timer(definition, &state)?.max(least);
            Some(transition(definition, &state, &Event::TimerFired(TimerFired { at })).ok()?.0)
        }
        Phase::Active { .. }
        | Phase::Waiting
        | Phase::Deciding
        | Phase::Skipped
        | Phase::Done
        | Phase::Failed
        | Phase::Undone(_)
        | Phase::Stuck { .. } => Some(state),
    }
}

fn answer(definition: &Definition, state: &State, direction: Direction, at: Millis, answer: Answer) -> Option<State> {
    let probe = state.steps[0].tally(direction).probes;
    let event = ProbeAnswered { at, step: 0, direction, probe, answer, decided_by: None, jitter: 0.0 };
    Some(transition(definition, state, &Event::ProbeAnswered(event)).ok()?.0)
}

/// Gives this answer to every probe until no probe is asked any more.
fn answer_until_moved(
    definition: &Definition,
    mut state: State,
    direction: Direction,
    answered: Answer,
) -> Option<State> {
    while let Phase::Active { activity: Activity::Probing, .. } = state.steps[0].phase {
        state = answer(definition, &state, direction, state.at, answered.clone())?;
        state = fire(definition, state, 0)?;
    }
    Some(state)
}

/// Returns what the step does now.
fn next(definition: &Definition, state: &State, direction: Direction) -> Option<Next> {
    let one = &state.steps[0];
    let next = match one.phase {
        Phase::Done => Next::Done,
        Phase::Undone(Undone::LeftInPlace) => Next::Leave,
        Phase::Undone(Undone::Compensated | Undone::Nothing | Undone::ByHand) => Next::Undone,
        Phase::Failed | Phase::Waiting => Next::TurnBack,
        Phase::Stuck { reason, .. } => Next::Stuck(reason),
        // The step is being undone already: a known effect, or one that may be there.
        Phase::Active { direction: Direction::Compensation, .. } if direction == Direction::Action => {
            if one.output.is_some() { Next::Done } else { Next::CompensateUnknown }
        }
        Phase::Active { activity, .. } => match activity {
            Activity::BackingOff { .. } | Activity::Attempting => {
                let tally = one.tally(direction);
                Next::Repeat { new_key: tally.generation > 0 || tally.generation_at.is_none() }
            }
            Activity::Probing | Activity::Settling { .. } => Next::Probe,
            Activity::Unresolved { .. } if definition.draft().steps[0].irreversible => Next::Leave,
            Activity::Unresolved { .. } => Next::CompensateUnknown,
            Activity::Awaiting { .. } => Next::Await,
            Activity::Showing | Activity::Asking { .. } | Activity::Sleeping { .. } => return None,
        },
        Phase::Skipped | Phase::Deciding => return None,
    };
    debug_assert!(state.course != Course::Ended(super::state::End::Abandoned));
    Some(next)
}
