//! Requests of operators and drivers: where each verb is legal, and with which reason it is refused elsewhere.

use super::story::{Story, check, check_refused};
use crate::saga::event::{Event, Request, RequestRefused, Requested};
use crate::saga::{MAILBOX_MAX, legal_verbs, transition};

#[test]
fn cancel_turns_back_once_and_not_past_the_point_of_no_return() {
    check("a b<a", "a ok; cancel; b ok", "compensating a:done b:~attempting#1 -> ~b#1");
    check("a b(sleep=9)<a", "a ok; cancel", "compensating a:~attempting#1 -> ~a#1");
    check("a b(when)<a", "a ok; cancel", "compensating a:~attempting#1 -> ~a#1");
    check("a(sleep=9)", "cancel", "compensated");
    check_refused("a", "cancel; ?cancel", "turning back already");
    check_refused("a b<a", "a ok; b refuses; ?cancel", "turning back already");
    check_refused("a p!<a r+", "a ok; p ok; ?cancel", "point of no return");
}

#[test]
fn pause_starts_nothing_new_and_lets_what_is_in_flight_end() {
    check("a b<a", "pause; a ok", "paused a:done");
    check("a b<a", "pause; a ok; resume", "running a:done b:attempting#1 -> b#1");
    check("a b<a", "pause; a fails; +1000", "paused a:backing_off@100");
    check("a b<a", "pause; a fails; +1000; resume", "running a:attempting#2 -> a#2");
    check("a b<a", "a ok; b refuses; pause; ~a ok", "paused a:undone b:failed");
    check("a b<a", "a ok; b refuses; pause; ~a ok; resume", "compensated a:undone b:failed");
    check("a", "pause; a ok", "paused a:done");
    check("a(when)", "pause; a run", "paused");
    check("a(when)", "pause; a run; resume", "running a:deciding -> decide a");
    check_refused("a", "pause; ?pause", "paused already");
    check_refused("a", "?resume", "not paused");
    check_refused("a", "pause; a fails; +1000; ?early", "waits for no timer");
}

#[test]
fn where_a_saga_runs_is_nothing_to_the_law() {
    check("a b<a", "evict; a ok", "running a:done b:attempting#1 -> b#1");
    check("a b<a", "a ok; b refuses; evict; ~a ok", "compensated a:undone b:failed");
    check("a", "pause; a ok; evict; evict", "paused a:done");
    check_refused("a", "?evict silently", "needs a reason");
}

#[test]
fn retry_tries_again_now_with_a_fresh_budget() {
    check("a b<a", "a fails; retry a", "running a:attempting#2 -> a#2");
    check("a b<a", "a fails; timer; a fails; retry a; a fails; timer; a fails", "running a:backing_off@400");
    check("a(probe,once)", "a unknown; a inconclusive; retry a", "running a:probing#2 -> probe a#2");
    check("a b+<a", "a ok; b refuses; retry b", "running a:done b:attempting#2 -> b#2");
    check("a", "pause; a fails; retry a; resume", "running a:attempting#2 -> a#2");
    check("a(limit=300,tries=9)", "a fails; +500; retry a", "running a:attempting#2 -> a#2");
    check_refused("a", "?retry a", "tried right now");
    check_refused("a(probe)", "a unknown; timer; a fails; ?retry a", "tried right now");
    check_refused("a b<a", "?retry b", "neither stuck nor waiting");
    check_refused("a b<a", "a ok; ?retry a", "neither stuck nor waiting");
    check_refused("a(await=go)", "?retry a", "a retry does not end");
    check_refused("a(sleep=9)", "?retry a", "a retry does not end");
    check_refused("a(safe,once)", "a unknown; ?retry a", "a retry does not end");
    check_refused("a", "?retry z", "its steps are a");
}

#[test]
fn skip_takes_a_step_for_done_unless_it_may_have_happened() {
    check("a b<a", "a fails; skip a", "running a:done b:attempting#1 -> b#1");
    check("a b<a", "skip b; a ok", "completed a:done b:done");
    check("a(when) b<a", "skip a", "running a:done b:attempting#1 -> b#1");
    check("a(await=go)", "skip a", "completed a:done");
    check("a(sleep=9)", "skip a", "completed a:done");
    check("a b+<a", "a ok; b refuses; skip b", "completed a:done b:done");
    check("a b<a", "a ok; b refuses; ~a refuses; skip a", "compensated a:by_hand b:failed");
    check("a(~once) b<a", "a ok; b refuses; ~a unknown; skip a", "compensated a:by_hand b:failed");
    check_refused("a", "?skip a", "tried right now");
    check_refused("a(once)", "a unknown; ?skip a", "may have taken effect");
    check_refused("a", "a unknown; ?skip a", "may have taken effect");
    check_refused("a b<a", "a ok; ?skip a", "settled already");
    check_refused("a b<a", "a ok; b refuses; ~a fails; ?skip a", "is being undone");
    check_refused("a b", "b refuses; a fails; ?skip a", "ended");
    check_refused("a b c<b", "b refuses; ?skip c", "not needed any more");
}

#[test]
fn resolve_says_what_became_of_a_doubt() {
    check("a(once)", "a unknown; resolve a applied", "completed a:done");
    check("a(once)", "a unknown; resolve a absent", "running a:backing_off@100");
    check("a(once,tries=1)", "a unknown; resolve a absent", "compensated a:failed");
    check("a", "a unknown; resolve a applied", "completed a:done");
    check("a(probe,once)", "a unknown; resolve a applied", "completed a:done");
    check("a b", "a pending; b refuses; resolve a absent", "compensated a:failed b:failed");
    check("a(safe,once) b", "a unknown; b refuses; resolve a absent", "compensated a:failed b:failed");
    check("a(safe,once) b", "a unknown; b refuses; resolve a applied", "compensating a:~attempting#1 b:failed -> ~a#1");
    check("a(~once) b<a", "a ok; b refuses; ~a unknown; resolve a applied", "compensated a:by_hand b:failed");
    check(
        "a(~once) b<a",
        "a ok; b refuses; ~a unknown; resolve a absent; timer",
        "compensating a:~attempting#2 b:failed -> ~a#2",
    );
    check_refused("a", "?resolve a applied", "being tried right now");
    // A finding says nothing about an attempt that ended after the request was made. Here the second attempt ends at
    // 100.
    let twice = "a unknown; resolve a absent; timer; a unknown";
    check_refused("a(once,tries=9)", &format!("{twice}; ?resolve a absent @99"), "find out again");
    check_refused("a(once,tries=9)", &format!("{twice}; ?resolve a applied @99"), "find out again");
    check("a(once,tries=9)", &format!("{twice}; +50; resolve a absent @100"), "running a:backing_off@350");
    check_refused("a(once,tries=9)", "+50; lost; ?resolve a absent @49", "find out again");
    check("a(once,tries=9)", "+50; lost; resolve a absent @50", "running a:backing_off@150");
    check_refused("a(once)", "a unknown; ?resolve a absent #0", "find out again");
    check_refused("a(once)", "a unknown; ?resolve a applied #2", "find out again");
    check("a(once)", "a unknown; resolve a absent #1", "running a:backing_off@100");
    check_refused("a(once,tries=9)", &format!("{twice}; +50; ?resolve a absent #1"), "find out again");
    check_refused("a(probe,once)", "+50; a errors; ?resolve a absent @49", "find out again");
    let undone_twice = "a ok; b refuses; ~a unknown; resolve a absent; timer; ~a unknown";
    check_refused("a(~once) b<a", &format!("{undone_twice}; ?resolve a absent @99"), "find out again");
    check_refused("a", "a fails; ?resolve a applied", "not in doubt");
    check_refused("a", "a fails; ?resolve a absent", "not in doubt");
    check_refused("a b<a", "a ok; ?resolve a absent", "not in doubt");
    check_refused("a(await=go)", "?resolve a applied", "not in doubt");
}

#[test]
fn an_answer_that_was_overtaken_by_a_request_is_refused() {
    check_refused("a(probe,once)", "a unknown; resolve a applied", "");
    check_refused("a(probe,once) b<a", "a unknown; resolve a applied; ?a absent", "not in flight");
    check_refused("a b<a", "a ok; ?a ok", "not in flight");
    check_refused("a b<a", "?~a ok", "not in flight");
    check_refused("a(when) b", "cancel; ?a run", "not being decided");
}

#[test]
fn abandon_closes_the_saga_as_it_is_and_says_why() {
    check("a b<a", "a ok; abandon", "abandoned a:done b:attempting#1");
    check("a(once)", "a unknown; abandon", "abandoned a:stuck(in_doubt)");
    check("a", "pause; abandon", "abandoned a:attempting#1");
    check_refused("a", "?abandon silently", "needs a reason");
    check_refused("a", "abandon; ?abandon", "ended");
    check_refused("a", "abandon; ?a ok", "ended");
    check_refused("a", "abandon; ?lost", "ended");
}

#[test]
fn events_are_kept_for_a_step_that_will_wait_and_not_without_bound() {
    check_refused("a", "?provide a", "waits or will wait for the event");
    check_refused("a(await=go) b<a", "?provide a", "waits or will wait for the event");
    check_refused("a b(await=go) c<b", "a refuses; ?provide go", "ended");
    check("a b(await=go)", "pause; provide go; a ok; resume", "completed a:done b:done");
    check("a b(await=go)<a c(await=go)<b", "a ok; provide go", "running a:done b:done c:awaiting");
    let events: Vec<String> = (0..MAILBOX_MAX).map(|number| format!("provide e{number}")).collect();
    let full = format!("{}; ?provide one_more", events.join("; "));
    check_refused("@open=5000 a", &full, "mailbox is full");
}

#[test]
fn what_only_a_driver_may_ask_is_refused_when_there_is_none() {
    for verb in ["append b", "commit", "abort", "touch"] {
        check_refused("a", &format!("?{verb}"), "not open");
        check_refused("@open=5000 a", &format!("commit; ?{verb}"), "not open");
        check_refused("@open=5000 a b", &format!("abort; ?{verb}"), "not open");
    }
}

#[test]
fn a_signal_is_answered_once() {
    let story = Story::tell("a", "");
    let request = |signal, request| {
        Event::Requested(Requested { at: 0, asked_at: None, signal, by: "ada".to_owned(), by_starter: false, request })
    };
    let pause = || Request::Pause { reason: "lunch".to_owned() };
    let resume = || Request::Resume { reason: String::new() };
    let after = |state: &_, event: Event| transition(&story.definition, state, &event).map(|(state, _)| state);
    let paused = after(&story.state, request(1, pause())).unwrap();
    assert_eq!(paused.signals_seen, 1);
    let again = after(&paused, request(1, resume())).unwrap_err();
    assert!(again.what.contains("signal 1 was handled already"), "{again}");
    let refused = Event::RequestRefused(RequestRefused {
        at: 0,
        signal: 2,
        by: "ada".to_owned(),
        verb: "pause".to_owned(),
        reason: "paused already".to_owned(),
    });
    let answered = after(&paused, refused).unwrap();
    assert_eq!(answered.signals_seen, 2);
    assert!(after(&answered, request(2, resume())).is_err());
    // Requests that are not signals have no number, and may come at any time.
    let resumed = after(&answered, request(0, resume())).unwrap();
    assert_eq!((resumed.signals_seen, resumed.paused), (2, false));
}

#[track_caller]
fn check_verbs(graph: &str, history: &str, expected: &str) {
    let story = Story::tell(graph, history);
    let found = legal_verbs(&story.definition, &story.state, story.state.at).join(", ");
    assert!(found == expected, "\n  {graph} | {history}\n  expected {expected}\n  found    {found}\n");
}

#[test]
fn legal_verbs_are_those_that_are_accepted() {
    check_verbs("a", "", "cancel, pause, abandon");
    check_verbs("a b<a", "pause", "cancel, resume, abandon, skip b");
    check_verbs("a", "a ok", "");
    check_verbs("a b<a", "a fails", "cancel, pause, abandon, retry a, skip a, skip b");
    check_verbs("a(once)", "a unknown", "cancel, pause, abandon, resolve a applied, resolve a absent");
    check_verbs("a b(await=go)<a", "a ok", "cancel, pause, abandon, skip b, provide go");
    check_verbs("a", "a pending", "cancel, pause, abandon, resolve a applied, resolve a absent, provide a");
    check_verbs("a b<a", "a ok; b refuses; ~a refuses", "pause, abandon, retry a, skip a, resolve a applied");
    check_verbs("a b+<a", "a ok; b refuses", "pause, abandon, retry b, skip b");
    check_verbs("@open=5000 a b", "a refuses", "cancel, pause, abandon, skip a");
}
