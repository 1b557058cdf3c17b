//! The tree of steps against a plain list, and how many steps a saga looks at.

use proptest::prelude::*;

use crate::saga::definition::{Call, Draft, Kind, Step};
use crate::saga::event::{AttemptEnded, Direction, Event, Request, Requested, Started, TimerFired};
use crate::saga::outcome::{Error, Outcome};
use crate::saga::state::{Activity, End, Phase, State, StepState, StuckReason, Undone};
use crate::saga::steps::Steps;
use crate::saga::traits::{Summary, Traits, visits};
use crate::saga::{Definition, Json, begin, next_timer, outstanding, transition};

/// A change of the steps.
#[derive(Clone, Debug)]
enum Change {
    Put(usize, Phase),
    Push(Kind),
    /// Later states are compared with the present one.
    Keep,
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Compensable), Just(Kind::Pivot), Just(Kind::Retriable)]
}

fn any_phase() -> impl Strategy<Value = Phase> {
    let direction = prop_oneof![Just(Direction::Action), Just(Direction::Compensation)];
    let activity = (0_u64..40).prop_flat_map(|until| {
        prop_oneof![
            Just(Activity::Attempting),
            Just(Activity::Probing),
            Just(Activity::Showing),
            Just(Activity::BackingOff { until }),
            Just(Activity::Unresolved { until }),
            Just(Activity::Awaiting { until: Some(until) }),
            Just(Activity::Awaiting { until: None }),
        ]
    });
    prop_oneof![
        Just(Phase::Waiting),
        Just(Phase::Deciding),
        (direction, activity).prop_map(|(direction, activity)| Phase::Active { direction, activity }),
        Just(Phase::Skipped),
        Just(Phase::Done),
        Just(Phase::Failed),
        Just(Phase::Undone(Undone::Nothing)),
        Just(Phase::Stuck { direction: Direction::Action, reason: StuckReason::Failed }),
    ]
}

const TRAITS: [Traits; 8] = [
    Traits::OPEN,
    Traits::BARRED,
    Traits::IN_PLACE,
    Traits::COMMITTING,
    Traits::COMMANDED,
    Traits::UNDER_WAY,
    Traits::STUCK,
    Traits::AWAITING,
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn a_tree_of_steps_is_a_list(
        kinds in prop::collection::vec(any_kind(), 0..20),
        changes in prop::collection::vec(
            prop_oneof![
                4 => (any::<usize>(), any_phase()).prop_map(|(index, phase)| Change::Put(index, phase)),
                1 => any_kind().prop_map(Change::Push),
                1 => Just(Change::Keep),
            ],
            0..60,
        ),
    ) {
        let mut list: Vec<(Kind, StepState)> = kinds.iter().map(|kind| (*kind, StepState::WAITING)).collect();
        let mut tree = Steps::waiting(&kinds);
        let mut kept = (tree.clone(), list.clone());
        for change in changes {
            match change {
                Change::Put(_, _) if list.is_empty() => continue,
                Change::Put(index, phase) => {
                    let index = index % list.len();
                    list[index].1.phase = phase;
                    tree.change(index, |step| step.phase = phase);
                }
                Change::Push(kind) => {
                    list.push((kind, StepState::WAITING));
                    tree.push(kind);
                }
                Change::Keep => kept = (tree.clone(), list.clone()),
            }
            compare(&tree, &list)?;
            let changed = tree.changed_since(&kept.0);
            for (index, one) in list.iter().enumerate() {
                prop_assert!(changed.contains(&index) || kept.1.get(index) == Some(one), "step {index} changed");
            }
            prop_assert_eq!(tree == kept.0, list == kept.1);
        }
        compare(&kept.0, &kept.1)?;
    }
}

fn compare(tree: &Steps, list: &[(Kind, StepState)]) -> Result<(), TestCaseError> {
    prop_assert_eq!(tree.len(), list.len());
    prop_assert!(tree.iter().eq(list.iter().map(|(_, step)| step)));
    prop_assert!(tree.get(list.len()).is_none());
    let summaries: Vec<Summary> = list.iter().map(|(kind, step)| Summary::for_step(*kind, step)).collect();
    let due = summaries.iter().filter_map(|summary| summary.due()).min();
    prop_assert_eq!(tree.summary().due(), due);
    let even: Vec<usize> = (0..list.len()).step_by(2).collect();
    for traits in TRAITS {
        let fits = |summary: Summary| summary.has(traits);
        let all: Vec<usize> = (0..list.len()).filter(|&index| fits(summaries[index])).collect();
        prop_assert_eq!(tree.having(traits).collect::<Vec<_>>(), all.clone());
        prop_assert_eq!(tree.has(traits), !all.is_empty());
        prop_assert_eq!(tree.any_has(&even, traits), all.iter().any(|index| index % 2 == 0));
    }
    for at in [0, 10, 39] {
        let over: Vec<usize> = (0..list.len()).filter(|&index| summaries[index].is_due(at)).collect();
        prop_assert_eq!(tree.all(|summary| summary.is_due(at)).collect::<Vec<_>>(), over);
    }
    Ok(())
}

/// Runs a saga to its end: each call fails once and then succeeds; a compensation succeeds at once. Returns how many
/// rows its journal has, and how many steps the folds looked at.
fn run(draft: Draft, cancel: bool) -> (u64, u64, End) {
    let definition = Definition::build(draft).unwrap();
    let (mut state, _) = begin(&definition, &Started::new(1, Json::null()));
    let (mut rows, before) = (1, visits());
    let apply = |state: &mut State, event: Event, rows: &mut u64| {
        *state = transition(&definition, state, &event).expect("a legal event").0;
        *rows += 1;
    };
    while state.end().is_none() {
        let at = state.at + 1;
        let last_is_done = state.steps[state.steps.len() - 1].phase != Phase::Waiting;
        if cancel && last_is_done && state.turn_back.is_none() {
            let request = Request::Cancel { reason: "enough".to_owned() };
            let event = Requested { at, asked_at: None, signal: 1, by: String::new(), by_starter: false, request };
            apply(&mut state, Event::Requested(event), &mut rows);
            continue;
        }
        let counted = visits();
        let command = outstanding(&state).into_iter().next();
        let due = next_timer(&definition, &state);
        // What the test itself looks at does not count.
        let looked = visits() - counted;
        TESTED.with(|tested| tested.set(tested.get() + looked));
        match command {
            Some(crate::saga::command::Command::Execute { step, direction, attempt, .. }) => {
                let outcome = match attempt {
                    1 if direction == Direction::Action => Outcome::retryable(Error::new("busy", "later"), None),
                    _ => Outcome::Succeeded { output: Json::null() },
                };
                let ended = AttemptEnded { at, step, direction, attempt, outcome, decided_by: None, jitter: 0.5 };
                apply(&mut state, Event::AttemptEnded(ended), &mut rows);
            }
            other => {
                assert!(other.is_none(), "{other:?}");
                let at = due.expect("a saga that moves").max(at);
                apply(&mut state, Event::TimerFired(TimerFired { at }), &mut rows);
            }
        }
    }
    let tested = TESTED.with(std::cell::Cell::take);
    (rows, visits() - before - tested, state.end().unwrap())
}

thread_local! {
    static TESTED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

fn step(name: String, needs: impl IntoIterator<Item = String>) -> Step {
    let call = || Call::handler("work").idempotent();
    Step::new(name, call()).compensation(call()).needs(needs)
}

/// Steps one after the other.
fn chain(length: usize) -> Draft {
    (0..length).fold(Draft::new("chain"), |draft, number| {
        draft.step(step(format!("s{number}"), number.checked_sub(1).map(|before| format!("s{before}"))))
    })
}

/// One step, many after it at the same time, and one after all of these.
fn fan(width: usize) -> Draft {
    let draft = Draft::new("fan").step(step("first".to_owned(), []));
    let draft = (0..width).fold(draft, |draft, number| draft.step(step(format!("s{number}"), ["first".to_owned()])));
    draft.step(step("last".to_owned(), (0..width).map(|number| format!("s{number}"))))
}

/// Two chains whose steps stand in turn.
fn braid(length: usize) -> Draft {
    (0..length).fold(Draft::new("braid"), |draft, number| {
        draft.step(step(format!("s{number}"), number.checked_sub(2).map(|before| format!("s{before}"))))
    })
}

#[test]
fn a_saga_looks_at_a_number_of_steps_that_is_linear_in_its_rows() {
    type Shape = fn(usize) -> Draft;
    let shapes: [(&str, Shape); 3] = [("chain", chain), ("fan", fan), ("braid", braid)];
    for (name, shape) in shapes {
        for cancel in [false, true] {
            let end = if cancel { End::Compensated } else { End::Completed };
            let look = |size: usize| {
                let (rows, looked, ended) = run(shape(size), cancel);
                assert_eq!(ended, end, "{name} of {size}");
                (looked as f64 / rows as f64, rows)
            };
            let ((small, few), (large, many)) = (look(60), look(240));
            assert!(many > 3 * few, "{name}: {few} and {many} rows");
            // A deeper tree takes a little more.
            assert!(large < small * 1.6, "{name}, cancelled {cancel}: {small:.1} steps a row, then {large:.1}");
        }
    }
}

#[test]
fn a_step_to_which_nothing_happened_takes_a_pointer() {
    let steps = Steps::waiting(&[Kind::Compensable; 10_000]);
    assert!(steps.iter().all(|step| std::ptr::eq(step, &steps[0])), "waiting steps share one state");
}
