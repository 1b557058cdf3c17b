//! Scenarios from other engines, as far as a pure core can meet them: steno and omicron (S1 to S13), DTM (D1 to D8),
//! and the faults of tools (F1 to F22). The numbers are those of our notes on peers and on MCP. Scenarios of a store
//! or a participant are tested there.

use std::cmp::Ordering;

use super::story::{Story, check, check_refused};
use crate::saga::event::{Direction, Event};
use crate::saga::{outstanding, replay};

#[test]
fn s1_each_action_runs_once_and_nothing_starts_twice() {
    check("a b<a", "a ok; b ok", "completed a:done b:done");
    check_refused("a", "a ok; ?a ok", "ended");
    check_refused("a b<a", "a ok; ?a ok", "not in flight");
}

/// Returns the number of attempts of each step, forward and backward.
fn attempts(story: &Story) -> Vec<[usize; 2]> {
    let mut counts = vec![[0; 2]; story.definition.steps().len()];
    for event in &story.journal {
        if let Event::AttemptEnded(ended) = event {
            counts[ended.step][usize::from(ended.direction == Direction::Compensation)] += 1;
        }
    }
    counts
}

/// Returns the history of a step that is attempted `times` times: unknown each time but the last.
fn repeated(step: &str, times: usize) -> String {
    format!("{step} unknown; timer; ").repeat(times - 1) + step + " ok"
}

#[test]
fn s2_repeats_of_actions_and_of_compensations_are_counted_and_end() {
    for times in [2, 3] {
        let story = Story::tell("a", &repeated("a", times));
        assert_eq!((story.to_string().as_str(), attempts(&story)), ("completed a:done", vec![[times, 0]]));
        for undone in [1, 2, 5] {
            let history = format!("{}; b refuses; {}", repeated("a", times), repeated("~a", undone));
            let story = Story::tell("a(~tries=5) b<a", &history);
            assert_eq!(story.to_string(), "compensated a:undone b:failed");
            assert_eq!(attempts(&story), [[times, undone], [1, 0]]);
        }
    }
}

#[test]
fn s3_one_failing_node_of_a_graph_unwinds_in_order() {
    let graph = "a b c<a,b d<c e<d";
    check(
        graph,
        "a ok; b ok; c ok; d ok; e refuses; ~d ok; ~c ok",
        "compensating a:~attempting#1 b:~attempting#1 c:undone d:undone e:failed -> ~a#1, ~b#1",
    );
}

#[test]
fn s4_any_beginning_of_a_journal_can_be_resumed_and_an_ended_one_asks_for_nothing() {
    let story = Story::tell("a b<a c<b", "a ok; b ok; c refuses; ~b ok; ~a ok");
    for length in 1..=story.journal.len() {
        let state = replay(&story.definition, &story.journal[..length]).unwrap();
        assert_eq!(outstanding(&state).is_empty(), length == story.journal.len());
    }
    assert!(replay(&story.definition, &story.journal[1..]).is_err());
    assert!(replay(&story.definition, &[]).is_err());
}

#[test]
fn s5_a_failed_compensation_is_stuck_and_stays_so_when_it_is_read_again() {
    let story = Story::tell("a b<a", "a ok; b refuses; ~a refuses");
    let again = replay(&story.definition, &story.journal).unwrap();
    assert_eq!((again.status().as_str(), outstanding(&again).len()), ("stuck", 0));
}

#[test]
fn s6_a_crash_with_parallel_parents_leaves_none_behind() {
    let graph = "a b j<a,b";
    check(graph, "a ok; b refuses; lost; timer; ~a ok", "compensated a:undone b:failed");
    check(graph, "a ok; lost", "running a:done b:backing_off@100");
    check(graph, "a refuses; lost; timer; b ok; ~b ok", "compensated a:failed b:undone");
}

#[test]
fn s7_a_crash_amid_an_action_or_its_compensation_is_a_doubt() {
    check("a(once)", "lost", "stuck a:stuck(in_doubt)");
    check("a(~once) b<a", "a ok; b refuses; lost", "stuck a:~stuck(in_doubt) b:failed");
}

#[test]
fn s8_two_failures_at_once_are_one_turning_back() {
    check(
        "a b c<a d<b",
        "a ok; b ok; c refuses; d refuses; ~a ok; ~b ok",
        "compensated a:undone b:undone c:failed d:failed",
    );
}

#[test]
fn s10_every_node_may_fail_and_leaves_no_residue() {
    let names = ["a", "b", "c", "d"];
    for failing in 0..4 {
        // First with single attempts; then with each action and each compensation carried out twice; then with only
        // the last compensation carried out twice.
        for (times, undone, last) in [(1, 1, 1), (2, 2, 2), (1, 1, 2)] {
            let done = &names[..failing];
            let mut history: Vec<String> = done.iter().map(|name| repeated(name, times)).collect();
            history.push(format!("{} refuses", names[failing]));
            let undoing =
                |(place, name): (usize, &&str)| repeated(&format!("~{name}"), if place == 0 { last } else { undone });
            history.extend(done.iter().rev().enumerate().map(undoing));
            let story = Story::tell("a b<a c<b d<c", &history.join("; "));
            let mut expected: Vec<String> = done.iter().map(|name| format!("{name}:undone")).collect();
            expected.push(format!("{}:failed", names[failing]));
            let found = story.to_string();
            assert!(found.starts_with(&format!("compensated {}", expected.join(" "))), "{found}");
            assert!(names[failing + 1..].iter().all(|name| !found.contains(&format!("{name}:done"))), "{found}");
            let counted = attempts(&story);
            for (step, count) in counted.iter().enumerate() {
                let is_last = step + 1 == failing;
                let expected = match step.cmp(&failing) {
                    Ordering::Less => [times, if is_last { last } else { undone }],
                    Ordering::Equal => [1, 0],
                    Ordering::Greater => [0, 0],
                };
                assert_eq!(*count, expected, "step {step} of {found}");
            }
            assert!(outstanding(&story.state).is_empty());
        }
    }
}

#[test]
fn s13_an_insert_that_landed_before_a_crash_is_found_although_the_repeat_is_refused() {
    check("a(probe) b", "lost; timer; a fails; a applied", "running a:done b:attempting#2");
    check("a(probe)", "lost; timer; a refuses; a applied", "completed a:done");
}

#[test]
fn d2_a_branch_that_did_not_start_is_not_compensated_and_ongoing_is_no_end() {
    check("a b c<b", "a refuses; b ok; ~b pending; provide b.compensation", "compensated a:failed b:undone");
    check("a b<a", "a ok; b refuses; ~a pending", "compensating a:~awaiting b:failed");
}

#[test]
fn d4_a_late_action_does_not_race_its_compensation() {
    // DTM answers this with a barrier in the participant's database; here the compensation waits until
    // nothing can land.
    check("a(safe,once) b", "a unknown; b refuses", "compensating a:unresolved@500 b:failed");
    check_refused("a(safe,once) b", "a unknown; b refuses; +499; ?early", "not before 500");
}

#[test]
fn d5_a_probe_that_comes_before_the_effect_does_not_prove_its_absence() {
    check("a(once,probe)", "a unknown; a absent; timer; a applied", "completed a:done");
}

#[test]
fn d6_done_steps_are_not_done_again_after_any_crash() {
    check("a b<a", "lost; timer; a ok; lost; timer; b ok", "completed a:done b:done");
    check("a(reads) b<a c<b", "a ok; b ok; c refuses; lost; timer; ~b ok", "compensated a:nothing b:undone c:failed");
}

#[test]
fn f1_f2_never_sent_and_lost_answer_look_different_and_end_the_same() {
    check("a", "a fails; timer; a ok", "completed a:done");
    check("a", "a unknown; timer; a ok", "completed a:done");
}

#[test]
fn f3_f22_a_timeout_while_the_call_still_runs_is_waited_for() {
    check("a(once,probe)", "+1000; a unknown; a absent", "running a:settling@1500");
    check("a(safe,once)", "+1000; a unknown", "compensating a:unresolved@1500");
}

#[test]
fn f8_an_error_cached_under_a_key_needs_a_new_key() {
    check("a", "a renews; timer", "running a:attempting#2 -> a#2k1");
    check("a b+<a", "a ok; b refuses; retry b newly", "running a:done b:attempting#2 -> b#2k1");
}

#[test]
fn f9_f10_a_key_is_used_for_one_call_only_and_not_after_it_expired() {
    check("a(life=2000)", "+1000; a unknown", "stuck a:stuck(in_doubt)");
    check("a(life=2000,probe)", "+1000; a unknown; +500; a absent; a absent; timer", "running a:attempting#2 -> a#2k1");
}

#[test]
fn f11_a_conflict_with_the_attempt_in_flight_is_not_its_failure() {
    check("a", "a unknown; timer; a fails@700", "running a:backing_off@800");
    check("a", "a unknown; timer; a fails@700; timer; a ok", "completed a:done");
}

#[test]
fn f13_a_rate_limit_is_respected() {
    check("a", "a fails@5000", "running a:backing_off@5000");
}

#[test]
fn f14_a_window_for_compensation_that_closed_needs_a_person() {
    check("a b<a", "a ok; b refuses; ~a refuses", "stuck a:~stuck(failed) b:failed");
}

#[test]
fn f15_what_cannot_be_undone_comes_last_or_is_declared() {
    check("a mail+<a", "a ok; mail unknown; timer; mail ok", "completed a:done mail:done");
    check("a mail(stays)<a b<mail", "a ok; mail ok; b refuses; ~a ok", "compensated a:undone mail:left b:failed");
}

#[test]
fn f20_an_agent_that_dies_or_comes_back_too_late_finds_its_saga_turned_back() {
    check("@open=5000", "append a; a ok; timer; ~a ok", "compensated a:undone");
    check_refused("@open=5000", "append a; a ok; timer; ?append b", "deadline_passed");
}
