//! One transition under way. Owns the changes to one step: begin an attempt, succeed, fail, record the absence of an
//! effect, mark it stuck. Its callers decide when each of them is due.

use super::agenda::Agenda;
use super::definition::{Call, Effect, Kind, Millis};
use super::event::Direction;
use super::law::Law;
use super::outcome::Error;
use super::plan::Definition;
use super::retry;
use super::state::{Activity, Course, Phase, State, StepState, StuckReason, TurnBack, Undone};
use super::tally::Tally;

/// One transition under way.
pub(super) struct TransitionContext<'a> {
    pub(super) definition: &'a Definition,
    pub(super) state: State,
    pub(super) at: Millis,
    pub(super) jitter: f64,
    /// Whether this event may end a wait whose deadline has passed. Under law V2 only the timer may: any other event
    /// that came first could shut out a request that was made in time.
    pub(super) ends_waits: bool,
    /// Something changed in this round of `advance`.
    pub(super) moved: bool,
    /// The steps to look at.
    pub(super) agenda: Agenda,
}

impl TransitionContext<'_> {
    /// Returns the kind of a step.
    pub(super) fn kind(&self, step: usize) -> Kind {
        self.state.steps.kind(step)
    }

    /// Returns the call of a step in one direction; none for an action that calls no participant.
    pub(super) fn call(&self, step: usize, direction: Direction) -> Option<&Call> {
        self.definition.step(&self.state, step).call(direction)
    }

    /// Changes one step.
    #[inline]
    pub(super) fn change(&mut self, step: usize, change: impl FnOnce(&mut StepState)) {
        self.agenda.touch(step);
        self.state.steps.change(step, change);
    }

    /// Returns one step, to change what has no part in its traits: neither its phase nor `skipped_by_hand`.
    #[inline]
    pub(super) fn step_mut(&mut self, step: usize) -> &mut StepState {
        self.agenda.touch(step);
        self.state.steps.get_mut(step)
    }

    /// Puts a step into a phase.
    pub(super) fn put(&mut self, step: usize, phase: Phase) {
        if self.state.steps[step].phase != phase {
            self.put_with(step, phase, |_| {});
        }
    }

    /// Changes a step and puts it into a phase.
    #[inline]
    fn put_with(&mut self, step: usize, phase: Phase, change: impl FnOnce(&mut StepState)) {
        let (at, mut moved) = (self.at, false);
        self.change(step, |one| {
            change(one);
            if one.phase != phase {
                (one.phase, one.since) = (phase, Some(at));
                moved = true;
            }
        });
        self.moved |= moved;
    }

    /// Puts a call into an activity. A wait for an attempt or a probe ends no earlier than the pause that the
    /// participant asked for. Under law V1 that holds only for attempts.
    pub(super) fn set(&mut self, step: usize, direction: Direction, activity: Activity) {
        let rested = |until: Millis| self.rested(step, direction, until);
        let activity = match activity {
            Activity::BackingOff { until } => Activity::BackingOff { until: rested(until) },
            Activity::Settling { until } if self.law() >= Law::V2 => Activity::Settling { until: rested(until) },
            Activity::Settling { .. }
            | Activity::Attempting
            | Activity::Probing
            | Activity::Unresolved { .. }
            | Activity::Awaiting { .. }
            | Activity::Showing
            | Activity::Asking { .. }
            | Activity::Sleeping { .. } => activity,
        };
        self.put(step, Phase::Active { direction, activity });
    }

    /// Records a pause that the participant asked for, from now on.
    pub(super) fn rest(&mut self, step: usize, direction: Direction, retry_after_ms: Option<Millis>) {
        if let Some(pause_ms) = retry::asked_pause_ms(retry_after_ms) {
            let until = self.at.saturating_add(pause_ms);
            self.step_mut(step).tally_mut(direction).evidence_mut().not_before = Some(until);
        }
    }

    /// Returns the given time of an attempt or a probe, or the end of the participant's pause if that is later.
    pub(super) fn rested(&self, step: usize, direction: Direction, until: Millis) -> Millis {
        self.state.steps[step].tally(direction).evidence().not_before.map_or(until, |not_before| not_before.max(until))
    }

    /// Marks a step stuck: it needs a person.
    pub(super) fn mark_stuck(&mut self, step: usize, direction: Direction, reason: StuckReason) {
        self.put(step, Phase::Stuck { direction, reason });
    }

    /// Makes the saga turn back. The first reason stands.
    pub(super) fn turn_back(&mut self, why: TurnBack) {
        if self.state.course == Course::Forward && self.state.turn_back.is_none() {
            self.state.turn_back = Some(why);
            self.moved = true;
        }
    }

    /// Returns the law of the saga.
    pub(super) fn law(&self) -> Law {
        self.state.law
    }

    /// Returns whether the effect of the last attempts of a call is unknown.
    pub(super) fn in_doubt(&self, step: usize, direction: Direction) -> bool {
        in_doubt(self.law(), self.call(step, direction), self.state.steps[step].tally(direction))
    }

    /// Begins the next attempt of a call.
    pub(super) fn attempt(&mut self, step: usize, direction: Direction) {
        let at = self.at;
        self.put_with(step, Phase::Active { direction, activity: Activity::Attempting }, |one| {
            let tally = one.tally_mut(direction);
            if tally.attempts > 0 && tally.generation_at.is_none() {
                tally.generation += 1;
            }
            tally.attempts += 1;
            tally.first_at.get_or_insert(at);
            tally.generation_at.get_or_insert(at);
            tally.attempt_at = Some(at);
        });
    }

    /// Records that the call took effect.
    pub(super) fn succeed(&mut self, step: usize, direction: Direction, output: super::Json) {
        let phase = match direction {
            Direction::Action => Phase::Done,
            Direction::Compensation => Phase::Undone(Undone::Compensated),
        };
        self.put_with(step, phase, |one| {
            one.tally_mut(direction).correct(|evidence| {
                (evidence.doubt_at, evidence.pending, evidence.errored) = (None, false, false);
            });
            if direction == Direction::Action {
                one.output = Some(output);
            }
        });
    }

    /// Gives the next attempts a new key. Until the first of them begins, the recorded key is that of the last
    /// attempt, which the participant has seen.
    pub(super) fn renew_key(&mut self, step: usize, direction: Direction) {
        let tally = self.step_mut(step).tally_mut(direction);
        tally.generation_at = None;
        tally.correct(|evidence| evidence.pending = false);
    }

    /// Records that the call has had no effect so far. Schedules the next attempt if one is allowed and useful;
    /// otherwise the call fails.
    pub(super) fn no_effect(&mut self, step: usize, direction: Direction) {
        if self.law() == Law::V1 {
            self.renew_key(step, direction);
        }
        let tally = self.step_mut(step).tally_mut(direction);
        tally.correct(|evidence| (evidence.doubt_at, evidence.errored) = (None, false));
        let wanted = match direction {
            Direction::Action => self.state.course == Course::Forward && self.state.turn_back.is_none(),
            Direction::Compensation => true,
        };
        let tally = self.state.steps[step].tally(direction);
        let next = self.call(step, direction).filter(|_| wanted && !tally.evidence().final_failure).and_then(|call| {
            let pause = retry::pause_ms(&call.retry, tally.attempts - tally.attempts_forgiven, self.jitter);
            let until = self.rested(step, direction, self.at.saturating_add(pause));
            retry::budget_left(call, tally, until).then_some(until)
        });
        match next {
            Some(until) => self.set(step, direction, Activity::BackingOff { until }),
            None => self.fail(step, direction),
        }
    }

    /// Records that the call failed for good without an effect. A compensation is then stuck, and so is an action
    /// past the point of no return. Any other action fails and turns the saga back; in an open saga the driver
    /// decides instead.
    pub(super) fn fail(&mut self, step: usize, direction: Direction) {
        let may_turn_back = match direction {
            Direction::Compensation => false,
            Direction::Action => !self.state.is_committed(),
        };
        if !may_turn_back {
            return self.mark_stuck(step, direction, StuckReason::Failed);
        }
        self.put(step, Phase::Failed);
        let drivers_choice = self.state.lease_until.is_some();
        if !drivers_choice {
            self.turn_back(TurnBack::StepFailed { step, error: self.last_error(step) });
        }
    }

    /// Returns the last error of a step's action.
    pub(super) fn last_error(&self, step: usize) -> Error {
        let known = self.state.steps[step].action.error.as_deref();
        known.cloned().unwrap_or_else(|| Error::new("failed", "the step failed without saying why"))
    }
}

/// Returns whether the effect of the last attempts of a call is unknown. A read-only call is never in doubt. A
/// transactional call is in doubt only if its handler ended the transaction by itself, and only under law V2.
pub(super) fn in_doubt(law: Law, call: Option<&Call>, tally: &Tally) -> bool {
    let sure = call.is_some_and(|call| match law {
        Law::V1 => call.effect.is_never_in_doubt(),
        Law::V2 => call.effect == Effect::ReadOnly,
    });
    tally.evidence().doubt_at.is_some() && !sure
}
