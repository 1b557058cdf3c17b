//! The way forward: order, conditions, retries, limits, waits.

use super::notation::Graph;
use super::story::{check, check_refused, state_text};
use crate::saga::event::{Event, Started, TimerFired};
use crate::saga::state::TurnBack;
use crate::saga::{Json, begin, next_timer, transition};

#[test]
fn a_list_runs_in_order_and_completes() {
    let graph = "a b<a c<b";
    check(graph, "", "running a:attempting#1 -> a#1");
    check(graph, "a ok", "running a:done b:attempting#1 -> b#1");
    check(graph, "a ok; b ok; c ok", "completed a:done b:done c:done");
}

#[test]
fn steps_whose_needs_are_met_run_in_parallel_and_a_join_waits_for_all() {
    let graph = "a b<a c<a d<b,c";
    check(graph, "a ok", "running a:done b:attempting#1 c:attempting#1 -> b#1, c#1");
    check(graph, "a ok; c ok", "running a:done b:attempting#1 c:done");
    check(graph, "a ok; c ok; b ok", "running a:done b:done c:done d:attempting#1 -> d#1");
}

#[test]
fn the_order_in_the_list_is_no_order() {
    check("b<a a", "", "running a:attempting#1 -> a#1");
    check("b<a a", "a ok", "running b:attempting#1 a:done -> b#1");
}

#[test]
fn a_condition_decides_whether_a_step_runs() {
    let graph = "a(when) b<a";
    check(graph, "", "running a:deciding -> decide a");
    check(graph, "a run", "running a:attempting#1 -> a#1");
    check(graph, "a leave", "running a:skipped b:attempting#1 -> b#1");
    check(graph, "a breaks", "compensated a:failed");
    check(graph, "a leave; b ok", "completed a:skipped b:done");
    check_refused("a b(when)<a", "?b run", "not being decided");
}

#[test]
fn a_failure_is_repeated_with_growing_pauses_until_the_budget_is_spent() {
    let graph = "a b<a";
    check(graph, "a fails", "running a:backing_off@100");
    check(graph, "a fails; timer", "running a:attempting#2 -> a#2");
    check(graph, "a fails; timer; a fails", "running a:backing_off@300");
    check(graph, "a fails; timer; a fails; timer; a ok", "running a:done b:attempting#1 -> b#1");
    check(graph, "a fails; timer; a fails; timer; a fails", "compensated a:failed");
    check(graph, "a refuses", "compensated a:failed");
}

#[test]
fn a_participant_may_ask_for_a_longer_pause_but_not_for_ever() {
    check("a", "a fails@7000", "running a:backing_off@7000");
    check("a", "a fails@7", "running a:backing_off@100");
    check("a", "a fails@99999999999", "running a:backing_off@86400000");
}

#[test]
fn a_key_is_kept_until_a_probe_has_proved_absence() {
    check("a", "a fails; timer", "running a:attempting#2 -> a#2");
    check("a", "a fails; timer; a fails; timer", "running a:attempting#3 -> a#3");
    check("a", "a unknown; timer", "running a:attempting#2 -> a#2");
    check("a(once,probe)", "a unknown; +500; a absent; a absent; timer", "running a:attempting#2 -> a#2k1");
    check("a(reads)", "a unknown; timer", "running a:attempting#2 -> a#2");
}

#[test]
fn no_attempt_begins_after_the_limit_of_its_step() {
    let graph = "a(limit=250,tries=9)";
    check(graph, "a fails; timer; a fails", "compensated a:failed");
    check(graph, "a fails; timer; +40; a unknown", "stuck a:stuck(in_doubt)");
    check(graph, "+251; a fails", "compensated a:failed");
    check(graph, "pause; a fails; +1000; resume", "compensated a:failed");
    check("a(limit=250,tries=9,probe)", "a unknown; timer; +140; a unknown", "running a:probing#1 -> probe a#1");
}

#[test]
fn sleeping_waits_for_a_time() {
    let graph = "a(sleep=300) b<a";
    check(graph, "", "running a:sleeping@300");
    check_refused(graph, "+299; ?early", "not before 300");
    check(graph, "timer", "running a:done b:attempting#1 -> b#1");
    check_refused("a", "?early", "waits for no time");
}

#[test]
fn awaiting_waits_for_an_event_that_may_have_come_already() {
    let graph = "a b(await=go)<a c<b";
    check(graph, "a ok", "running a:done b:awaiting");
    check(graph, "a ok; provide go", "running a:done b:done c:attempting#1 -> c#1");
    check(graph, "provide go", "running a:attempting#1");
    check(graph, "provide go; a ok", "running a:done b:done c:attempting#1 -> c#1");
    check_refused(graph, "provide go; ?provide go", "provided already");
    check_refused(graph, "?provide gone", "no step of the saga waits");
    check_refused(graph, "a ok; provide go; ?provide go", "no step of the saga waits");
}

#[test]
fn an_event_that_never_comes_is_a_failure_at_the_limit() {
    check("a b(await=go,limit=400)<a", "+100; a ok", "running a:done b:awaiting@500");
    check("a b(await=go,limit=400)<a", "+100; a ok; timer", "compensating a:~attempting#1 b:failed -> ~a#1");
    check("a+(await=go,limit=400)", "timer", "stuck a:stuck(failed)");
    check("a+(await=go,limit=400)", "timer; retry a", "running a:awaiting@800");
}

#[test]
fn the_sagas_deadline_turns_it_back_even_when_it_is_paused_or_stuck() {
    let graph = "@deadline=1000 a b<a";
    check(graph, "a ok; timer", "running a:done b:attempting#1");
    check(graph, "a ok; timer; b ok", "compensating a:done b:~attempting#1 -> ~b#1");
    check(graph, "a ok; pause; timer; b refuses", "paused a:done b:failed");
    check("@deadline=1000 a b(await=go)<a", "a ok; timer", "compensating a:~attempting#1 -> ~a#1");
    check("@deadline=1000 a b(once)<a", "a ok; b unknown; timer", "stuck a:done b:stuck(in_doubt)");
    check(
        "@deadline=1000 a b(once)<a",
        "a ok; b unknown; timer; resolve b absent",
        "compensating a:~attempting#1 b:failed -> ~a#1",
    );
    check("@deadline=1000 a!  b+(sleep=5000)<a", "a ok", "running a:done b:sleeping@5000");
}

/// A saga may be started while no node lives. The age of the saga counts from its start, the age of its steps from
/// the first row of its journal.
#[test]
fn a_deadline_counts_from_the_start_though_no_node_was_there() {
    let definition = Graph::parse("@deadline=1000 a(limit=300) b(await=go)<a").build().unwrap();
    let after = |waited_ms| begin(&definition, &Started { waited_ms, ..Started::new(90_000, Json::null()) });
    let (state, commands) = after(999);
    assert_eq!((state_text(&definition, &state).as_str(), commands.len()), ("running a:attempting#1", 1));
    assert_eq!((next_timer(&definition, &state), state.steps[0].action.first_at), (Some(90_001), Some(90_000)));
    for (waited_ms, due) in [(1_000, 90_000), (80_000, 11_000)] {
        let (state, commands) = after(waited_ms);
        assert_eq!((state_text(&definition, &state).as_str(), commands.len()), ("running", 0));
        assert_eq!(next_timer(&definition, &state), Some(due));
        // Requests that were made in time are heard before the saga turns back.
        let timer = Event::TimerFired(TimerFired { at: 90_001 });
        let (ended, commands) = transition(&definition, &state, &timer).unwrap();
        assert_eq!((state_text(&definition, &ended).as_str(), commands.len()), ("compensated", 0));
        assert_eq!(ended.turn_back, Some(TurnBack::Deadline));
    }
    let text = r#"{"begun":{"law":2,"at":90000,"waited_ms":999,"input":null}}"#;
    let Event::Started(started) = serde_json::from_str(text).unwrap() else { panic!("{text}") };
    assert_eq!((started.waited_ms, serde_json::to_string(&Event::Started(started)).unwrap()), (999, text.to_owned()));
}

#[test]
fn a_sagas_time_never_steps_back_though_clocks_do() {
    check("a b<a", "+1000; a fails; timer; -500; a fails", "running a:backing_off@1300");
    check("a(once,probe)", "+1000; a unknown; -900; a absent", "running a:settling@1500");
    check_refused("a", "a fails; timer; +900; a fails; -800; ?early", "not before 1200, found one at 1000");
}
