//! The work of evaluations: of expressions, and of checks of an input. Owns the budget of one evaluation, and the
//! smaller one of a thread that others need, too. Who evaluates pays for work before it does it.

use std::cell::Cell;

use crate::config::participant::{EXPRESSION_WORK_MAX, EXPRESSION_WORK_SHORT};

pub(crate) mod pattern;

/// The evaluation needs more work than it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

thread_local! {
    /// What is left of the running evaluation's budget. An evaluation stays on its thread.
    static WORK: Cell<i64> = const { Cell::new(0) };
    /// What is left of the work that this thread may do now; none if it may take its time.
    static SHORT: Cell<Option<i64>> = const { Cell::new(None) };
}

/// Runs evaluations on a thread that others need, too. Returns none if they take more work together than
/// `EXPRESSION_WORK_SHORT`: what they returned then counts for nothing, and they must run again on a thread of their
/// own.
pub(crate) fn shortly<T>(evaluations: impl FnOnce() -> T) -> Option<T> {
    SHORT.set(Some(EXPRESSION_WORK_SHORT));
    let result = evaluations();
    SHORT.take().is_some_and(|left| left >= 0).then_some(result)
}

/// Whether an evaluation on this thread must not take long.
pub(crate) fn must_be_short() -> bool {
    SHORT.get().is_some()
}

/// Says that what must not take long would take long.
pub(crate) fn give_up_short() {
    SHORT.set(Some(-1));
}

/// Runs one evaluation with a full budget, or with what is left of a short one. Returns none if the budget ran out: the
/// evaluation may have swallowed that error, so the result cannot be trusted.
pub(crate) fn budgeted<T>(evaluation: impl FnOnce() -> T) -> Option<T> {
    let budget = SHORT.get().map_or(EXPRESSION_WORK_MAX, |left| left.min(EXPRESSION_WORK_MAX));
    WORK.set(budget);
    let result = evaluation();
    if let Some(left) = SHORT.get() {
        SHORT.set(Some(left.saturating_sub(budget.saturating_sub(WORK.get()))));
    }
    (WORK.get() >= 0).then_some(result)
}

/// Pays for work. Fails if the budget is spent.
pub(crate) fn spend(units: i64) -> Result<(), Exhausted> {
    WORK.set(WORK.get().saturating_sub(units));
    solvent()
}

/// Fails once the budget is spent. An evaluation may swallow errors and go on, so this check comes before anything
/// is measured.
pub(crate) fn solvent() -> Result<(), Exhausted> {
    if WORK.get() < 0 { Err(Exhausted) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_that_ran_out_is_told_whatever_the_evaluation_made_of_it() {
        assert_eq!(budgeted(|| spend(EXPRESSION_WORK_MAX)), Some(Ok(())));
        assert_eq!(budgeted(|| spend(EXPRESSION_WORK_MAX + 1).is_ok()), None);
        assert_eq!(budgeted(|| (spend(i64::MAX), spend(i64::MAX)).0.is_err()), None);
        assert_eq!(shortly(|| budgeted(|| spend(EXPRESSION_WORK_SHORT))), Some(Some(Ok(()))));
        assert_eq!(shortly(|| budgeted(|| spend(EXPRESSION_WORK_SHORT + 1))), None);
        assert_eq!(shortly(|| [budgeted(|| spend(EXPRESSION_WORK_SHORT)), budgeted(|| spend(1))]), None, "together");
        assert!(!must_be_short());
    }
}
