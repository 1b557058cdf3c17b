//! The pivot is the point of no return: what waits before it, what may happen after it, and what happens when the
//! saga turns back too late.

use super::story::{check, check_refused};

#[test]
fn a_pivot_waits_for_all_compensable_steps_and_a_retriable_for_all_others() {
    let graph = "a b! c+";
    check(graph, "", "running a:attempting#1 -> a#1");
    check(graph, "a ok", "running a:done b:attempting#1 -> b#1");
    check(graph, "a ok; b ok", "running a:done b:done c:attempting#1 -> c#1");
    check("a b(when) p!<a", "a ok", "running a:done b:deciding");
    check("a b(when) p!<a", "a ok; b leave", "running a:done b:skipped p:attempting#1 -> p#1");
}

#[test]
fn after_the_pivot_nothing_is_compensated() {
    let graph = "a b!<a c+<b";
    check(graph, "a ok; b ok; c refuses", "stuck a:done b:done c:stuck(failed)");
    check(graph, "a ok; b ok; c refuses; retry c", "running a:done b:done c:attempting#2 -> c#2");
    check(graph, "a ok; b ok; c refuses; skip c", "completed a:done b:done c:done");
    check_refused(graph, "a ok; b ok; ?cancel", "point of no return");
    check_refused("a b+<a", "a ok; ?cancel", "point of no return");
}

#[test]
fn a_retriable_that_fails_for_a_while_is_repeated() {
    check("a b+<a", "a ok; b fails", "running a:done b:backing_off@100");
    check("a b+(once)<a", "a ok; b unknown", "stuck a:done b:stuck(in_doubt)");
    check("a b+(once)<a", "a ok; b unknown; resolve b applied", "completed a:done b:done");
    check("a b+(once)<a", "a ok; b unknown; resolve b absent", "running a:done b:backing_off@100");
}

#[test]
fn a_pivot_in_doubt_decides_the_direction_first() {
    let graph = "a b!(probe)<a";
    check(graph, "a ok; b unknown; cancel", "running a:done b:probing#1 -> probe b#1");
    check(graph, "a ok; b unknown; cancel; b applied", "completed a:done b:done");
    check(graph, "a ok; b unknown; cancel; +500; b absent; b absent", "compensating a:~attempting#1 b:failed -> ~a#1");
    check("a b!(once)<a", "a ok; b unknown; cancel", "stuck a:done b:stuck(in_doubt)");
    check("a b!(once)<a", "a ok; b unknown; cancel; resolve b applied", "completed a:done b:done");
    check("a b!<a", "a ok; b unknown; cancel", "running a:done b:backing_off@100");
    check("a b!<a", "a ok; b unknown; cancel; timer; b ok", "completed a:done b:done");
}

#[test]
fn a_pivot_in_flight_is_waited_for_and_may_overrule_the_turning_back() {
    let graph = "@deadline=1000 a b!<a c+<b";
    check(graph, "a ok; timer", "running a:done b:attempting#1");
    check(graph, "a ok; timer; b ok", "running a:done b:done c:attempting#1 -> c#1");
    check(graph, "a ok; timer; b fails", "compensating a:~attempting#1 b:failed -> ~a#1");
}

#[test]
fn of_two_pivots_one_that_failed_beside_one_that_succeeded_needs_a_person() {
    let graph = "a p! q!";
    check(graph, "a ok", "running a:done p:attempting#1 q:attempting#1 -> p#1, q#1");
    check(graph, "a ok; p ok; q refuses", "stuck a:done p:done q:stuck(failed)");
    check(graph, "a ok; p refuses; q ok", "stuck a:done p:stuck(failed) q:done");
    check(graph, "a ok; p refuses; q ok; retry p", "running a:done p:attempting#2 q:done -> p#2");
    check(graph, "a ok; p refuses; q refuses", "compensating a:~attempting#1 p:failed q:failed -> ~a#1");
    // A step that was stopped when the saga turned back goes on where it was, with the budget that is left.
    check(graph, "a ok; p fails; cancel; q ok", "running a:done p:attempting#2 q:done -> p#2");
}

#[test]
fn a_pivot_that_was_left_out_is_no_point_of_no_return() {
    check("a p!(when)<a", "a ok; p leave", "completed a:done p:skipped");
    check("a p!(when) q!(when)", "a ok; p leave; cancel", "compensating a:~attempting#1 p:skipped -> ~a#1");
}

#[test]
fn a_retriable_that_has_not_begun_is_no_point_of_no_return() {
    check("a r+(when)", "a ok; r breaks", "compensating a:~attempting#1 r:failed -> ~a#1");
    check("a r+(when)", "a ok; lost; lost; convicted", "stuck a:done r:stuck(process_died)");
    check("a r+(when)", "a ok; lost; lost; lost; cancel", "compensating a:~attempting#1 -> ~a#1");
    check("@open=5000 a p! r+<p", "a ok; p refuses", "running a:done p:failed r:failed");
    check("@open=5000 a p! r+<p", "a ok; p refuses; abort", "compensating a:~attempting#1 p:failed r:failed -> ~a#1");
    check("@open=5000 a p! r+<p", "a ok; p refuses; timer", "compensating a:~attempting#1 p:failed r:failed -> ~a#1");
}

#[test]
fn a_step_past_the_barrier_is_not_taken_for_done_before_it() {
    check_refused("a p!", "?skip p", "after steps that are not settled yet");
    check_refused("a r+", "?skip r", "after steps that are not settled yet");
    check("a p!(when)", "a ok; skip p", "completed a:done p:done");
}
