//! Compensation: which steps are undone, in which order, and what happens when a compensation fails.

use super::story::check;

#[test]
fn unwinds_in_reverse_before_the_pivot() {
    let graph = "a b<a c!<b";
    check(graph, "a ok; b ok; c refuses", "compensating a:done b:~attempting#1 c:failed -> ~b#1");
    check(graph, "a ok; b ok; c refuses; ~b ok", "compensating a:~attempting#1 b:undone c:failed -> ~a#1");
    check(graph, "a ok; b ok; c refuses; ~b ok; ~a ok", "compensated a:undone b:undone c:failed");
}

#[test]
fn independent_branches_are_undone_in_parallel_and_a_fork_waits_for_both() {
    let graph = "a b<a c<a d<b,c";
    let turned = "a ok; b ok; c ok; d refuses";
    check(graph, turned, "compensating a:done b:~attempting#1 c:~attempting#1 d:failed -> ~b#1, ~c#1");
    check(graph, &format!("{turned}; ~c ok"), "compensating a:done b:~attempting#1 c:undone d:failed");
    check(graph, &format!("{turned}; ~c ok; ~b ok"), "compensating a:~attempting#1 b:undone c:undone d:failed -> ~a#1");
}

#[test]
fn the_order_holds_through_steps_that_were_left_out() {
    let graph = "a b(when)<a c<b d<c";
    let turned = "a ok; b leave; c ok; d refuses";
    check(graph, turned, "compensating a:done b:skipped c:~attempting#1 d:failed -> ~c#1");
    check(graph, &format!("{turned}; ~c ok"), "compensating a:~attempting#1 b:skipped c:undone d:failed -> ~a#1");
}

#[test]
fn the_order_holds_past_a_step_that_was_taken_for_done_early() {
    let graph = "a b<a c<b d<c x";
    let turned = "skip c; a unknown; d ok; x refuses";
    check(graph, turned, "compensating a:backing_off@100 c:done d:~attempting#1 x:failed -> ~d#1");
    check(graph, &format!("{turned}; timer; a ok"), "compensating a:done c:done d:~attempting#1 x:failed");
    check(
        graph,
        &format!("{turned}; timer; a ok; ~d ok"),
        "compensating a:~attempting#1 c:nothing d:undone x:failed -> ~a#1",
    );
}

#[test]
fn in_flight_branches_are_waited_for() {
    let graph = "a b c";
    check(graph, "a ok; b refuses", "running a:done b:failed c:attempting#1");
    check(graph, "a ok; b refuses; c ok", "compensating a:~attempting#1 b:failed c:~attempting#1 -> ~a#1, ~c#1");
    check(graph, "a ok; b refuses; c refuses", "compensating a:~attempting#1 b:failed c:failed -> ~a#1");
    check("a b", "a refuses; b fails", "compensated a:failed b:failed");
    check("a b", "a fails; b refuses", "compensated b:failed");
    check("a b(when)", "a refuses", "compensated a:failed");
}

#[test]
fn the_first_reason_to_turn_back_stands() {
    check("a b", "a refuses; b refuses", "compensated a:failed b:failed");
}

#[test]
fn what_had_no_effect_is_not_undone() {
    check("a(reads) b<a", "a ok; b refuses", "compensated a:nothing b:failed");
    check("a(sleep=5) b<a", "timer; b refuses", "compensated a:nothing b:failed");
    check("a(await=go) b<a", "provide go; b refuses", "compensated a:nothing b:failed");
    check("a b<a", "a fails; skip a; b refuses", "compensated a:nothing b:failed");
    check("a(when) b<a", "a leave; b refuses", "compensated a:skipped b:failed");
    check("a(stays) b<a", "a ok; b refuses", "compensated a:left b:failed");
}

#[test]
fn a_compensation_is_repeated_and_stuck_when_it_fails_for_good() {
    let turned = "a ok; b refuses";
    check("a b<a", &format!("{turned}; ~a fails"), "compensating a:~backing_off@100 b:failed");
    check("a b<a", &format!("{turned}; ~a refuses"), "stuck a:~stuck(failed) b:failed");
    check("a b<a", &format!("{turned}; ~a refuses; retry a"), "compensating a:~attempting#2 b:failed -> ~a#2");
    check("a b<a", &format!("{turned}; ~a refuses; skip a"), "compensated a:by_hand b:failed");
}

#[test]
fn while_a_compensation_is_stuck_nothing_else_moves() {
    let graph = "a b<a c<a d<b,c";
    let turned = "a ok; b ok; c ok; d refuses; ~b refuses";
    check(graph, &format!("{turned}; ~c ok"), "stuck a:done b:~stuck(failed) c:undone d:failed");
    check(
        graph,
        &format!("{turned}; ~c ok; skip b"),
        "compensating a:~attempting#1 b:by_hand c:undone d:failed -> ~a#1",
    );
    check(
        "a b<a c d<c e<b,d",
        "a ok; c ok; b ok; d ok; e refuses; ~b refuses; ~d ok",
        "stuck a:done b:~stuck(failed) c:done d:undone e:failed",
    );
    check("a(once) b c<b", "a unknown; b ok", "stuck a:stuck(in_doubt) b:done");
}

#[test]
fn a_pivot_that_failed_turns_back_and_a_retriable_never_began() {
    check("a b!<a c+<b", "a ok; b refuses", "compensating a:~attempting#1 b:failed -> ~a#1");
    check("a b!<a c+<b", "a ok; b refuses; ~a ok", "compensated a:undone b:failed");
}
