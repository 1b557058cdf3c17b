//! Traits of steps: what the moves of a saga look for. Owns which step has which trait, and the summary of the traits
//! of many steps.

use super::definition::{Kind, Millis};
use super::state::{Activity, Phase, StepState};

/// A set of traits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traits(u16);

impl Traits {
    const NONE: Self = Self(0);
    /// A compensable step is not over on the way forward.
    pub(super) const OPEN_COMPENSABLE: Self = Self(1);
    /// A pivot is not over on the way forward.
    pub(super) const OPEN_PIVOT: Self = Self(1 << 1);
    /// A retriable step is not over on the way forward.
    pub(super) const OPEN_RETRIABLE: Self = Self(1 << 2);
    /// The step is not over on the way forward.
    pub(super) const OPEN: Self = Self::OPEN_COMPENSABLE.with(Self::OPEN_PIVOT).with(Self::OPEN_RETRIABLE);
    /// The step has not begun, and its kind waits for all steps of other kinds.
    pub(super) const BARRED: Self = Self(1 << 3);
    /// The step may have an effect in place.
    pub(super) const IN_PLACE: Self = Self(1 << 4);
    /// The step puts the saga past its point of no return.
    pub(super) const COMMITTING: Self = Self(1 << 5);
    /// The step failed.
    pub(super) const FAILED: Self = Self(1 << 6);
    /// The step is done.
    pub(super) const DONE: Self = Self(1 << 7);
    /// The step needs a person.
    pub(super) const STUCK: Self = Self(1 << 8);
    /// The step asks for a command.
    pub(super) const COMMANDED: Self = Self(1 << 9);
    /// An attempt is in flight.
    pub(super) const ATTEMPTING: Self = Self(1 << 10);
    /// A pivot has begun and its outcome is not known.
    pub(super) const PIVOT_UNDER_WAY: Self = Self(1 << 11);
    /// The step may stop its wait when the saga turns back.
    pub(super) const STOPPABLE: Self = Self(1 << 12);
    /// The step waits for an event.
    pub(super) const AWAITING: Self = Self(1 << 13);
    /// The step's doubt is left open.
    pub(super) const UNRESOLVED: Self = Self(1 << 14);

    /// The step does something, or waits for something, or needs a person.
    pub(super) const UNDER_WAY: Self = Self::COMMANDED.with(Self::STOPPABLE).with(Self::UNRESOLVED);

    /// Returns the trait of a step of this kind that is not over on the way forward.
    pub(super) const fn open(kind: Kind) -> Self {
        match kind {
            Kind::Compensable => Self::OPEN_COMPENSABLE,
            Kind::Pivot => Self::OPEN_PIVOT,
            Kind::Retriable => Self::OPEN_RETRIABLE,
        }
    }

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The traits of some steps together, and the earliest time at which one of them moves by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    traits: Traits,
    /// Earliest end of a wait. `Millis::MAX`: none.
    due: Millis,
}

impl Summary {
    /// Summary of no steps.
    pub(super) const NONE: Self = Self { traits: Traits::NONE, due: Millis::MAX };

    /// Returns the summary of one step.
    pub(super) fn for_step(kind: Kind, step: &StepState) -> Self {
        #[cfg(test)]
        visit();
        let open = Traits::open(kind);
        let mut due = Millis::MAX;
        let traits = match &step.phase {
            Phase::Waiting if kind == Kind::Compensable => open,
            Phase::Waiting => open.with(Traits::BARRED),
            Phase::Deciding => open.with(Traits::IN_PLACE).with(Traits::COMMANDED).with(Traits::STOPPABLE),
            Phase::Active { activity, .. } => {
                let (what, until) = under_way(activity);
                due = until.unwrap_or(Millis::MAX);
                open.with(Traits::IN_PLACE).with(what).with(match kind {
                    Kind::Compensable => Traits::NONE,
                    Kind::Pivot => Traits::PIVOT_UNDER_WAY,
                    Kind::Retriable => Traits::COMMITTING,
                })
            }
            Phase::Skipped => Traits::NONE,
            Phase::Done if kind == Kind::Compensable => Traits::IN_PLACE.with(Traits::DONE),
            Phase::Done => Traits::IN_PLACE.with(Traits::DONE).with(Traits::COMMITTING),
            // A failed step of an open saga is over once its driver goes on without it.
            Phase::Failed if step.skipped_by_hand => Traits::FAILED,
            Phase::Failed => Traits::FAILED.with(open),
            Phase::Undone(_) if kind == Kind::Retriable => open.with(Traits::COMMITTING),
            Phase::Undone(_) => open,
            Phase::Stuck { .. } => {
                open.with(Traits::IN_PLACE).with(Traits::STUCK).with(Traits::STOPPABLE).with(match kind {
                    Kind::Compensable => Traits::NONE,
                    Kind::Pivot => Traits::PIVOT_UNDER_WAY,
                    Kind::Retriable if step.action.attempts > 0 => Traits::COMMITTING,
                    Kind::Retriable => Traits::NONE,
                })
            }
        };
        Self { traits, due }
    }

    /// Returns the summary of these steps and others.
    #[inline]
    pub(super) fn and(self, other: Self) -> Self {
        #[cfg(test)]
        visit();
        Self { traits: self.traits.with(other.traits), due: self.due.min(other.due) }
    }

    /// Returns whether a step has one of these traits.
    #[inline]
    pub(super) fn has(self, traits: Traits) -> bool {
        #[cfg(test)]
        visit();
        self.traits.meets(traits)
    }

    /// Returns whether the wait of a step is over by `at`, or may be.
    #[inline]
    pub(super) fn is_due(self, at: Millis) -> bool {
        #[cfg(test)]
        visit();
        self.due <= at
    }

    /// Returns the earliest time at which a step moves by itself. Waits of doubts that are left open do not count:
    /// they end only when it is their turn.
    pub(super) fn due(self) -> Option<Millis> {
        Some(self.due).filter(|&due| due != Millis::MAX)
    }
}

#[cfg(test)]
thread_local! {
    static VISITS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts a look at a step, or at the summary of several.
#[cfg(test)]
pub(super) fn visit() {
    VISITS.with(|visits| visits.set(visits.get() + 1));
}

/// Returns how many looks were counted on this thread.
#[cfg(test)]
pub(super) fn visits() -> u64 {
    VISITS.with(std::cell::Cell::get)
}

/// Returns the traits of a call or wait that is under way, and when it ends by itself.
fn under_way(activity: &Activity) -> (Traits, Option<Millis>) {
    match *activity {
        Activity::Attempting => (Traits::COMMANDED.with(Traits::ATTEMPTING), None),
        Activity::Probing => (Traits::COMMANDED, None),
        Activity::Showing => (Traits::COMMANDED.with(Traits::STOPPABLE), None),
        Activity::BackingOff { until } | Activity::Settling { until } | Activity::Sleeping { until } => {
            (Traits::STOPPABLE, Some(until))
        }
        Activity::Awaiting { until } => (Traits::STOPPABLE.with(Traits::AWAITING), until),
        Activity::Asking { until } => (Traits::STOPPABLE, until),
        Activity::Unresolved { .. } => (Traits::UNRESOLVED, None),
    }
}
