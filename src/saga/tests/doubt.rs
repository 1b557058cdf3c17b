//! Unknown is an answer: the ways out of doubt, and what they prove.

use super::story::{check, check_refused};

#[test]
fn what_is_idempotent_is_repeated_under_the_same_key() {
    check("a", "a unknown", "running a:backing_off@100");
    check("a", "a unknown; timer", "running a:attempting#2 -> a#2");
    check("a", "a unknown; timer; a ok", "completed a:done");
    check("a", "a unknown; timer; a unknown; timer; a unknown", "stuck a:stuck(in_doubt)");
    check("a(probe,tries=1)", "a unknown", "running a:probing#1 -> probe a#1");
}

#[test]
fn what_is_not_idempotent_is_never_sent_again_while_in_doubt() {
    check("a(once)", "a unknown", "stuck a:stuck(in_doubt)");
    check("a(once,probe)", "a unknown", "running a:probing#1 -> probe a#1");
    check("a(once,probe)", "a unknown; a applied", "completed a:done");
    check_refused("a(once)", "a unknown; ?retry a", "must not be repeated");
    check("a(once,probe)", "a unknown; a inconclusive; timer; a inconclusive", "stuck a:stuck(in_doubt)");
    check(
        "a(once,probe)",
        "a unknown; a inconclusive; timer; a inconclusive; retry a",
        "running a:probing#3 -> probe a#3",
    );
}

#[test]
fn absence_proves_nothing_while_a_late_effect_can_land() {
    let graph = "a(once,probe)";
    check(graph, "a unknown; a absent", "running a:settling@500");
    check(graph, "a unknown; a absent; timer", "running a:probing#2 -> probe a#2");
    check(graph, "a unknown; a absent; timer; a absent", "running a:backing_off@600");
    check(graph, "a unknown; a absent; timer; a applied", "completed a:done");
    // A question that was put too early costs none of the budget.
    check(graph, "a unknown; a absent; timer; a inconclusive", "running a:settling@550");
    // The question was put before the window closed, so the answer is old, however late it comes.
    check(graph, "a unknown; +600; a absent", "running a:probing#2 -> probe a#2");
    check("a(once,probe,settle=0)", "a unknown; a absent", "running a:backing_off@100");
}

#[test]
fn an_operator_who_is_impatient_does_not_shorten_the_window() {
    check("a(once,probe)", "a unknown; a absent; +10; retry a; a absent", "running a:settling@500");
    check("a(probe)", "a unknown; retry a; a refuses; a absent", "running a:settling@500");
}

#[test]
fn a_refused_repeat_says_nothing_of_the_attempt_before_it() {
    // 401, an unknown tool, a limit of ours: refused before the participant looked at the key.
    check("a(probe)", "a unknown; timer; a refuses", "running a:probing#1 -> probe a#1");
    check("a(probe)", "a unknown; timer; a fails", "running a:probing#1 -> probe a#1");
    check("a(probe)", "a unknown; timer; a refuses; a applied", "completed a:done");
    check("a(probe)", "a unknown; timer; a refuses; +500; a absent; a absent", "compensated a:failed");
    check("a(probe)", "a unknown; timer; a fails; +500; a absent; a absent", "running a:backing_off@800");
    check("a", "a unknown; timer; a refuses", "running a:backing_off@300");
    check("a", "a unknown; timer; a refuses; timer; a ok", "completed a:done");
    check("a", "a unknown; timer; a refuses; timer; a refuses", "stuck a:stuck(in_doubt)");
    check("a", "a unknown; timer; a fails@5000", "running a:backing_off@5100");
    check("a(safe)", "a unknown; timer; a fails", "running a:backing_off@300");
    check("a(safe)", "a unknown; timer; a refuses", "compensating a:unresolved@500");
}

#[test]
fn a_cached_error_whose_first_answer_was_lost_needs_the_probe() {
    check(
        "a(probe)",
        "a unknown; timer; a fails; +500; a absent; a absent; timer",
        "running a:attempting#3 -> a#3k1",
    );
}

#[test]
fn a_key_that_the_participant_may_forget_is_not_used_again() {
    // An attempt lands within its time-out and settle window, 1.5 s together.
    let graph = "a(life=2000,tries=9)";
    check(graph, "+399; a unknown; timer", "running a:attempting#2 -> a#2");
    check(graph, "+400; a unknown", "stuck a:stuck(in_doubt)");
    check("a(life=2000,probe)", "+401; a unknown", "running a:probing#1 -> probe a#1");
    check("a(life=2000)", "a unknown; pause; +1000; resume", "stuck a:stuck(in_doubt)");
    check_refused("a(life=2000)", "+401; a unknown; ?retry a", "must not be repeated");
    // A new generation is a new key.
    check("a(life=2000)", "+1000; a fails; timer; a unknown", "running a:backing_off@1300");
}

#[test]
fn what_was_accepted_is_asked_for_later() {
    check("a(probe)", "a pending", "running a:settling@50");
    check("a(probe)", "a pending@900", "running a:settling@900");
    check("a(probe)", "a pending; timer; a applied", "completed a:done");
    check("a(probe)", "a pending; timer; a inconclusive; timer; a inconclusive", "stuck a:stuck(in_doubt)");
    check("a(probe)", "a pending; timer; a absent", "running a:settling@500");
}

#[test]
fn what_was_accepted_and_has_no_probe_waits_to_be_told() {
    check("a", "a pending", "running a:awaiting");
    check("a", "a pending; provide a", "completed a:done");
    check("a(limit=800)", "a pending", "running a:awaiting@800");
    check("a(limit=800)", "a pending; timer", "stuck a:stuck(in_doubt)");
    check("a(limit=800,safe)", "a pending; timer", "stuck a:stuck(in_doubt)");
    check("a b<a", "a pending; cancel", "compensating a:awaiting");
    check("a b<a", "a pending; cancel; provide a", "compensating a:~attempting#1 -> ~a#1");
}

#[test]
fn word_of_an_action_is_never_taken_for_word_of_its_compensation() {
    let graph = "a b<a";
    let undoing = "a pending; provide a; b refuses; ~a pending";
    check(graph, undoing, "compensating a:~awaiting b:failed");
    check_refused(graph, &format!("{undoing}; ?provide a"), "turning back");
    check(graph, &format!("{undoing}; provide a.compensation"), "compensated a:undone b:failed");
}

#[test]
fn a_read_that_is_unknown_is_no_more_than_a_failed_read() {
    check("a(reads)", "a unknown", "running a:backing_off@100");
    check("a(reads)", "a unknown; timer; a unknown; timer; a unknown", "compensated a:failed");
    check("a(reads)", "a pending; cancel", "compensated");
    check("a(reads)", "a pending; provide a", "completed a:done");
}

#[test]
fn what_may_be_left_open_is_not_asked_about_on_the_way_back() {
    // Safe either way: undone without knowing, when the window has closed.
    check("a(safe,once)", "a unknown", "compensating a:unresolved@500");
    check("a(safe,once)", "a unknown; timer", "compensating a:~attempting#1 -> ~a#1");
    check("a(safe,once)", "a unknown; timer; ~a ok", "compensated a:undone");
    check("a(safe) b", "a unknown; b refuses", "compensating a:unresolved@500 b:failed");
    // May stay: it does not matter whether it happened.
    check("a(stays,once) b", "a unknown; b ok", "compensating a:unresolved@500 b:~attempting#1 -> ~b#1");
    check("a(stays,once)", "a unknown; timer", "compensated a:left");
}

#[test]
fn on_the_way_back_asking_is_better_than_repeating() {
    check("a(probe) b", "a unknown; b refuses", "compensating a:probing#1 b:failed -> probe a#1");
    check("a(probe) b", "a unknown; b refuses; +500; a absent; a absent", "compensated a:failed b:failed");
    check("a(probe) b", "a unknown; b refuses; a applied", "compensating a:~attempting#1 b:failed -> ~a#1");
    // Without a probe the repeat tells, and what it did is undone.
    check("a b", "a unknown; b refuses", "compensating a:backing_off@100 b:failed");
    check("a b", "a unknown; b refuses; timer; a ok", "compensating a:~attempting#1 b:failed -> ~a#1");
}

#[test]
fn a_compensation_in_doubt_is_resolved_by_the_same_means() {
    let graph = "a(~probe,~tries=2) b<a";
    check(graph, "a ok; b refuses; ~a unknown", "compensating a:~backing_off@100 b:failed");
    check(graph, "a ok; b refuses; ~a unknown; timer", "compensating a:~attempting#2 b:failed -> ~a#2");
    check(
        graph,
        "a ok; b refuses; ~a unknown; timer; ~a unknown; ~a applied",
        "compensated a:undone b:failed",
    );
    check("a(~once) b<a", "a ok; b refuses; ~a unknown", "stuck a:~stuck(in_doubt) b:failed");
    check(
        "a(~once,~probe) b<a",
        "a ok; b refuses; ~a unknown; ~a absent; timer; ~a absent",
        "compensating a:~backing_off@600 b:failed",
    );
}

#[test]
fn the_generation_of_a_key_belongs_to_its_direction() {
    check("a b<a", "a fails; timer; a ok; b refuses", "compensating a:~attempting#1 b:failed -> ~a#1");
    check("a b<a", "a ok; b refuses; ~a fails; timer", "compensating a:~attempting#2 b:failed -> ~a#2");
}
