//! One transition under way. Owns what can be done to one step: begin, succeed, fail, know that nothing
//! happened, need a person; when each of them is due is decided by the files that use it.

use super::advance;
use super::definition::{Call, Effect, Kind, Millis};
use super::event::Direction;
use super::law::Law;
use super::outcome::Error;
use super::plan::Definition;
use super::retry;
use super::state::{Activity, Course, Phase, State, StuckReason, Tally, TurnBack, Undone};

/// One transition under way.
pub(super) struct TransitionContext<'a> {
    pub(super) definition: &'a Definition,
    pub(super) state: State,
    pub(super) at: Millis,
    pub(super) jitter: f64,
    /// Whether deadlines that have passed are over. Under the newest law only the timer says so: whatever else is heard
    /// first must not shut out a request that was made in time.
    pub(super) ends_waits: bool,
    /// Something changed in this round of `advance`.
    pub(super) moved: bool,
}

impl TransitionContext<'_> {
    /// The kind of a step.
    pub(super) fn kind(&self, step: usize) -> Kind {
        self.definition.step(&self.state, step).kind
    }

    /// The call of a step in one direction; awaiting and sleeping call nobody.
    pub(super) fn call(&self, step: usize, direction: Direction) -> Option<&Call> {
        self.definition.step(&self.state, step).call(direction)
    }

    /// Puts a step into a phase.
    pub(super) fn put(&mut self, step: usize, phase: Phase) {
        if self.state.steps[step].phase != phase {
            let since = Some(self.at);
            let one = self.state.step_mut(step);
            (one.phase, one.since) = (phase, since);
            self.moved = true;
        }
    }

    /// Puts a call into an activity. Whatever makes it wait for an attempt or a probe, the pause that the participant
    /// asked for is kept.
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

    /// The participant asked for this pause, from now on.
    pub(super) fn rest(&mut self, step: usize, direction: Direction, retry_after_ms: Option<Millis>) {
        if let Some(pause_ms) = retry::asked_pause_ms(retry_after_ms) {
            let until = self.at.saturating_add(pause_ms);
            self.state.step_mut(step).tally_mut(direction).evidence_mut().not_before = Some(until);
        }
    }

    /// A time for the next attempt or probe, or later, when the participant asked to be left alone until then.
    pub(super) fn rested(&self, step: usize, direction: Direction, until: Millis) -> Millis {
        self.state.steps[step].tally(direction).evidence().not_before.map_or(until, |not_before| not_before.max(until))
    }

    /// A step needs a person.
    pub(super) fn mark_stuck(&mut self, step: usize, direction: Direction, reason: StuckReason) {
        self.put(step, Phase::Stuck { direction, reason });
    }

    /// The saga shall turn back; the first reason stands.
    pub(super) fn turn_back(&mut self, why: TurnBack) {
        if self.state.course == Course::Forward && self.state.turn_back.is_none() {
            self.state.turn_back = Some(why);
            self.moved = true;
        }
    }

    /// The law of the saga.
    pub(super) fn law(&self) -> Law {
        self.state.law
    }

    /// Whether it is unknown what the last attempts of a call have changed.
    pub(super) fn in_doubt(&self, step: usize, direction: Direction) -> bool {
        in_doubt(self.law(), self.call(step, direction), self.state.steps[step].tally(direction))
    }

    /// Begins the next attempt of a call.
    pub(super) fn attempt(&mut self, step: usize, direction: Direction) {
        let at = self.at;
        let tally = self.state.step_mut(step).tally_mut(direction);
        if tally.attempts > 0 && tally.generation_at.is_none() {
            tally.generation += 1;
        }
        tally.attempts += 1;
        tally.first_at.get_or_insert(at);
        tally.generation_at.get_or_insert(at);
        tally.attempt_at = Some(at);
        self.set(step, direction, Activity::Attempting);
    }

    /// The call took effect.
    pub(super) fn succeed(&mut self, step: usize, direction: Direction, output: super::Json) {
        let one = self.state.step_mut(step);
        let tally = one.tally_mut(direction);
        tally.correct(|evidence| {
            (evidence.doubt_at, evidence.pending, evidence.errored) = (None, false, false);
        });
        match direction {
            Direction::Action => {
                one.output = Some(output);
                self.put(step, Phase::Done);
            }
            Direction::Compensation => self.put(step, Phase::Undone(Undone::Compensated)),
        }
    }

    /// Gives the next attempts a new key. Until the first of them begins, the key is that of the last one, which the
    /// participant has seen.
    pub(super) fn renew_key(&mut self, step: usize, direction: Direction) {
        let tally = self.state.step_mut(step).tally_mut(direction);
        tally.generation_at = None;
        tally.correct(|evidence| evidence.pending = false);
    }

    /// It is known that the call had no effect so far: the next attempt is made if it is any use.
    pub(super) fn no_effect(&mut self, step: usize, direction: Direction) {
        if self.law() == Law::V1 {
            self.renew_key(step, direction);
        }
        let tally = self.state.step_mut(step).tally_mut(direction);
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

    /// The call failed for good and had no effect. A retriable step that has not begun can still turn the
    /// saga back.
    pub(super) fn fail(&mut self, step: usize, direction: Direction) {
        let may_turn_back = match direction {
            Direction::Compensation => false,
            Direction::Action => !advance::committed(self),
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

    /// The last error of a step's action.
    pub(super) fn last_error(&self, step: usize) -> Error {
        let known = self.state.steps[step].action.error.as_deref();
        known.cloned().unwrap_or_else(|| Error::new("failed", "the step failed without saying why"))
    }
}

/// Whether it is unknown what the last attempts of a call have changed. What only reads has changed nothing; what is
/// recorded together with its effect is in doubt only when its handler has ended their transaction by itself.
pub(super) fn in_doubt(law: Law, call: Option<&Call>, tally: &Tally) -> bool {
    let sure = call.is_some_and(|call| match law {
        Law::V1 => call.effect.is_never_in_doubt(),
        Law::V2 => call.effect == Effect::ReadOnly,
    });
    tally.evidence().doubt_at.is_some() && !sure
}
