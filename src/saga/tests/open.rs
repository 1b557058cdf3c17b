//! Open sagas: the plan grows while the saga runs, and its driver may vanish.

use super::story::{check, check_refused};
use crate::saga::definition::{Call, Draft, Step};
use crate::saga::event::Started;
use crate::saga::state::{Phase, State};
use crate::saga::{Definition, Json, appendable, begin, steps_before};

#[test]
fn a_plan_grows_and_completes_when_it_is_committed() {
    check("@open=5000", "", "running");
    check("@open=5000", "append a", "running a:attempting#1 -> a#1");
    check("@open=5000", "append a; a ok", "running a:done");
    check("@open=5000", "append a; a ok; append b<a", "running a:done b:attempting#1 -> b#1");
    check("@open=5000", "append a; a ok; commit", "completed a:done");
    check("@open=5000", "append a; commit; a ok", "completed a:done");
    check("@open=5000", "commit", "completed");
}

#[test]
fn the_same_step_again_is_no_change_so_a_driver_can_run_again_from_the_top() {
    check("@open=5000", "append a; a ok; append a", "running a:done");
    check_refused("@open=5000", "append a; ?append a(once)", "already has a different step");
    check_refused("@open=5000", "?append a<z", "no step of this saga");
    check_refused("@open=5000", "?append A", "lower case");
}

#[test]
fn a_driver_that_aborts_or_vanishes_leaves_nothing() {
    check("@open=5000", "append a; a ok; abort", "compensating a:~attempting#1 -> ~a#1");
    check("@open=5000", "append a; a ok; timer", "compensating a:~attempting#1 -> ~a#1");
    check("@open=5000", "timer", "compensated");
    check("@open=5000", "append a; a ok; +4000; touch; +4000; touch", "running a:done");
    check("@open=5000", "+4000; append a; +4999; a ok", "running a:done");
    check("@open=5000", "append a; commit; +9000; a ok", "completed a:done");
    check("@open=5000", "append a; pause; timer; a ok", "paused a:done");
}

#[test]
fn a_failed_step_is_its_drivers_choice_and_must_be_taken_note_of() {
    let failed = "append a; append b; a ok; b refuses";
    check("@open=5000", failed, "running a:done b:failed");
    check("@open=5000", &format!("{failed}; abort"), "compensating a:~attempting#1 b:failed -> ~a#1");
    check("@open=5000", &format!("{failed}; append c; c ok; skip b; commit"), "completed a:done b:failed c:done");
    check_refused("@open=5000", &format!("{failed}; ?commit"), "has failed; abort, or skip it");
    check_refused("@open=5000", &format!("{failed}; skip b; ?skip b"), "settled already");
    // A step that needs a failed step fails with it.
    check("@open=5000", "append a; a refuses; append b<a", "running a:failed b:failed");
    check_refused("@open=5000", "append a; a refuses; append b<a; skip a; ?commit", "\"b\" has failed");
    // After the commit the driver decides nothing any more: a failure turns the saga back.
    check("@open=5000", "append a; append b; a ok; commit; b refuses", "compensating a:~attempting#1 b:failed -> ~a#1");
}

#[test]
fn a_pivot_does_not_begin_beside_a_failure_that_nobody_took_note_of() {
    let failed = "append a; append p!; a refuses";
    check("@open=5000", failed, "running a:failed");
    check("@open=5000", &format!("{failed}; skip a"), "running a:failed p:attempting#1 -> p#1");
    check("@open=5000", &format!("{failed}; timer"), "compensated a:failed");
}

#[test]
fn retriable_steps_wait_for_the_commit() {
    let graph = "@open=5000 r+";
    check(graph, "", "running");
    check(graph, "commit", "running r:attempting#1 -> r#1");
    check(graph, "append a; a ok", "running a:done");
    check(graph, "append a; commit; a ok", "running r:attempting#1 a:done -> r#1");
    check(graph, "append a; a ok; timer", "compensating a:~attempting#1 -> ~a#1");
}

#[test]
fn what_is_appended_keeps_the_order_of_the_kinds() {
    check("@open=5000", "append a; append p!; a ok", "running a:done p:attempting#1 -> p#1");
    check_refused("@open=5000", "append p!; ?append a", "comes too late");
    check_refused("@open=5000", "append p!; p ok; ?append a", "comes too late");
    check("@open=5000", "append a; append p!; append b; a ok", "running a:done b:attempting#1");
    check_refused("@open=5000", "append a; append p!; ?append b<p", "point of no return");
    check_refused("@open=5000", "append a; append p!; ?append q!<p", "pivots on one path");
    check_refused("@open=5000", "append r+; ?append p!<r", "retriable steps come after every pivot");
    check("@open=5000", "append p!; p ok; append r+<p; commit", "running p:done r:attempting#1 -> r#1");
}

#[test]
fn past_the_point_of_no_return_a_lost_driver_leaves_the_plan_as_it_stands() {
    let graph = "@open=5000 p! r+";
    check(graph, "p ok", "running p:done");
    check(graph, "p ok; timer", "running p:done r:attempting#1 -> r#1");
    check_refused(graph, "p ok; ?abort", "point of no return");
    check(graph, "+4000; abort; p ok", "running p:done r:attempting#1 -> r#1");
    // One pivot failed beside one that succeeded, and the driver did not skip it: a person must decide.
    check("@open=5000 p! q!", "p ok; q refuses", "stuck p:done q:stuck(failed)");
    check("@open=5000 p! q!", "q refuses; p ok; timer", "stuck p:done q:stuck(failed)");
    check("@open=5000 p! q!", "q refuses; skip q; p ok; timer", "completed p:done q:failed");
    // A step that needs the failed pivot goes on once a person has mended the pivot.
    let graph = "@open=5000 p! q! r+<q";
    check(graph, "q refuses; p ok; timer", "stuck p:done q:stuck(failed)");
    check(graph, "q refuses; p ok; timer; retry q; q ok", "running p:done q:done r:attempting#1 -> r#1");
    check_refused(graph, "q refuses; p ok; timer; ?skip r", "not settled yet");
    check(graph, "q refuses; skip q; p ok; timer", "stuck p:done q:failed r:stuck(failed)");
    check(graph, "p ok; q refuses", "stuck p:done q:stuck(failed)");
    check("@open=5000 p!(once) q! r+<p,q", "p unknown; q refuses; resolve p applied", "running p:done q:failed");
    check(graph, "q refuses; skip q; p ok; timer; skip r", "completed p:done q:failed r:done");
}

#[test]
fn a_doubt_that_is_left_open_turns_an_open_saga_back_too() {
    check("@open=5000", "append a(safe,once); a unknown", "compensating a:unresolved@500");
    check("@open=5000", "append a(once); a unknown; timer", "stuck a:stuck(in_doubt)");
}

/// The fold accepts every step that old journals hold. The node that judges a request refuses a step that no
/// definition could have.
#[test]
fn a_step_is_appended_only_where_it_could_have_stood_in_a_definition() {
    let call = || Call::handler("h").idempotent();
    let draft = Draft::new("plan").open(5_000).step(Step::new("p", call()).pivot());
    let definition = Definition::build(draft.step(Step::awaiting("w", "word", None))).unwrap();
    let (started, _) = begin(&definition, &Started::new(0, Json::null()));
    let refused = |state: &State, step: &Step| {
        let faults = appendable(&definition, state, step);
        faults.into_iter().map(|fault| fault.path).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    let [a, q] = ["a", "q"].map(|name| Step::new(name, call()));
    let (a, q) = (a.irreversible(), q.pivot());
    assert_eq!(refused(&started, &a), none);
    assert_eq!(refused(&started, &q), none);
    assert_eq!(refused(&started, &Step::new("word", call()).retriable()), ["step.name"]);
    assert_eq!(refused(&started, &Step::awaiting("x", "p", None)), ["step.action.event"]);
    // A retriable step comes after the pivot by its kind, even without `needs`.
    let before = steps_before(&definition, &started, &Step::new("r", call()).retriable());
    assert_eq!(before.into_iter().collect::<Vec<_>>(), ["p", "w"]);
    let mut done = started;
    done.steps.change(0, |one| one.phase = Phase::Done);
    assert_eq!(refused(&done, &q), ["step.kind"]);
}
