//! The steps that a transition looks at: those that its event concerns, their neighbours, and those whose wait is
//! over. Owns the selection. `advance.rs` decides what happens to a step that is looked at.
//!
//! A step that is looked at in vain stays as it is, so the agenda may hold too many steps and never too few. It holds
//! every step after a change that concerns the whole saga, and in sagas so short that a selection costs more.

use std::collections::BTreeSet;

use super::advance;
use super::definition::Millis;
use super::plan::Definition;
use super::state::{Course, Phase, State};
use super::steps::WIDTH;
use super::traits::{Summary, Traits};

/// The steps that a transition has still to look at.
#[derive(Debug)]
pub(super) enum Agenda {
    /// Every step, in each round.
    Every,
    /// Only some steps.
    Selected(Box<Selection>),
}

/// The steps that were selected, and what further steps depend on.
#[derive(Debug)]
pub(super) struct Selection {
    steps: BTreeSet<usize>,
    /// Steps that may have changed and whose neighbours are not selected yet.
    touched: Vec<usize>,
    gate: Gate,
}

/// The conditions of the whole saga under which its steps move. When one of them changes, steps may move although
/// none of their neighbours has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gate {
    /// The saga goes forward, and nothing turns it back.
    forward: bool,
    committed: bool,
    /// A driver may append steps.
    plan_open: bool,
    compensable_open: bool,
    pivot_open: bool,
}

impl Gate {
    fn new(state: &State) -> Self {
        let summary = state.steps.summary();
        Self {
            forward: state.course == Course::Forward && state.turn_back.is_none(),
            committed: summary.has(Traits::COMMITTING),
            plan_open: state.lease_until.is_some(),
            compensable_open: summary.has(Traits::OPEN_COMPENSABLE),
            pivot_open: summary.has(Traits::OPEN_PIVOT),
        }
    }
}

impl Agenda {
    /// Selects the steps whose wait is over at the time `at`; the event adds its own. `old` is the state before the
    /// event.
    pub(super) fn new(definition: &Definition, old: &State, at: Millis) -> Self {
        if old.steps.len() <= WIDTH || advance::is_blocked(definition, old) {
            return Self::Every;
        }
        let mut steps: BTreeSet<usize> = old.steps.all(|summary| summary.is_due(at)).collect();
        if old.course == Course::Backward {
            let over = |&step: &usize| old.steps[step].phase.unresolved_until().is_some_and(|until| until <= at);
            steps.extend(old.steps.having(Traits::UNRESOLVED).filter(over));
        }
        Self::Selected(Box::new(Selection { steps, touched: Vec::new(), gate: Gate::new(old) }))
    }

    /// Notes that a step may have changed, or is new.
    #[inline]
    pub(super) fn touch(&mut self, step: usize) {
        match self {
            Self::Every => {}
            // A call is often changed several times in a row.
            Self::Selected(selected) if selected.touched.last() == Some(&step) => {}
            Self::Selected(selected) => selected.touched.push(step),
        }
    }

    /// Returns the next step to look at on the way forward, from `from` on.
    #[inline]
    pub(super) fn next(&mut self, definition: &Definition, state: &State, from: usize) -> Option<usize> {
        match self.selected(definition, state) {
            None => Some(from).filter(|&step| step < state.steps.len()),
            Some(steps) => {
                let step = *steps.range(from..).next()?;
                steps.take(&step)
            }
        }
    }

    /// Returns the next step to look at on the way backward, before `before`.
    #[inline]
    pub(super) fn previous(&mut self, definition: &Definition, state: &State, before: usize) -> Option<usize> {
        match self.selected(definition, state) {
            None => before.checked_sub(1),
            Some(steps) => {
                let step = *steps.range(..before).next_back()?;
                steps.take(&step)
            }
        }
    }

    /// Returns the selected steps, with the neighbours of those that changed. None: every step.
    #[inline]
    fn selected(&mut self, definition: &Definition, state: &State) -> Option<&mut BTreeSet<usize>> {
        if let Self::Selected(selected) = self
            && !selected.refresh(definition, state)
        {
            *self = Self::Every;
        }
        match self {
            Self::Every => None,
            Self::Selected(selected) => Some(&mut selected.steps),
        }
    }
}

impl Selection {
    /// Selects the neighbours of the steps that changed. Returns false if every step may move now.
    fn refresh(&mut self, definition: &Definition, state: &State) -> bool {
        let (before, now) = (self.gate, Gate::new(state));
        if (before.forward, before.committed) != (now.forward, now.committed) {
            return false;
        }
        self.gate = now;
        let opened = before.plan_open && !now.plan_open
            || before.compensable_open && !now.compensable_open
            || before.pivot_open && !now.pivot_open;
        if opened {
            self.steps.extend(state.steps.having(Traits::BARRED));
        }
        for step in std::mem::take(&mut self.touched) {
            self.steps.insert(step);
            match state.course {
                Course::Forward => self.steps.extend(definition.dependents(state, step).into_iter().flatten()),
                Course::Backward => select_needed(definition, state, step, &mut self.steps),
                Course::Ended(_) => {}
            }
        }
        true
    }
}

/// Selects the steps that may be undone now that this step has no effect in place: those that it needs, through steps
/// without an effect.
fn select_needed(definition: &Definition, state: &State, step: usize, selected: &mut BTreeSet<usize>) {
    let mut open = vec![step];
    let mut seen = BTreeSet::new();
    while let Some(step) = open.pop() {
        if advance::is_clear(&state.steps[step].phase) {
            let needs = definition.planned(state, step).map_or(&[][..], |planned| &planned.needs);
            open.extend(needs.iter().filter(|&&need| seen.insert(need)));
        } else {
            selected.insert(step);
        }
    }
}

/// Returns whether no step that depends on this one has an effect left. Follows the dependents through other steps: a
/// step in between may be skipped, or may not have begun when an operator skipped a later one.
pub(super) fn dependents_clear(definition: &Definition, state: &State, step: usize) -> bool {
    let in_place = |summary: Summary| summary.has(Traits::IN_PLACE);
    let mut open = vec![step];
    let mut seen = BTreeSet::new();
    while let Some(needed) = open.pop() {
        // Where each step stands after those that it needs, all dependents do.
        if definition.is_ordered() && state.steps.find(needed + 1, in_place).is_none() {
            continue;
        }
        let dependents = definition.dependents(state, needed);
        if dependents.iter().any(|some| state.steps.any_has(some, Traits::IN_PLACE)) {
            return false;
        }
        // A step is undone only after the steps that depend on it, and none begins after that.
        let not_undone = |&dependent: &usize| !matches!(state.steps[dependent].phase, Phase::Undone(_));
        let dependents = dependents.into_iter().flatten().copied();
        open.extend(dependents.filter(not_undone).filter(|&dependent| seen.insert(dependent)));
    }
    true
}
