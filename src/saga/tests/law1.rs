//! Law 1: journals that begin with `started` keep the rules under which they were written, to their end.

use uuid::Uuid;

use super::story::{Story, check, check_refused};
use crate::saga::event::{Direction, Event, Started};
use crate::saga::key::Key;
use crate::saga::{Json, Law, replay};

#[test]
fn a_definite_failure_makes_a_new_key() {
    check("@law=1 a", "a fails; timer", "running a:attempting#2 -> a#2k1");
    check("@law=1 a", "a fails; timer; a fails; timer", "running a:attempting#3 -> a#3k2");
    check("@law=1 a(reads)", "a unknown; timer", "running a:attempting#2 -> a#2k1");
    check("@law=1 a b!<a c+<b", "a ok; b ok; c refuses; retry c", "running a:done b:done c:attempting#2 -> c#2k1");
    check("@law=1 a(within)", "lost; timer", "running a:attempting#2 -> a#2k1");
    check("@law=1 a b<a", "a ok; b refuses; ~a fails; timer", "compensating a:~attempting#2 b:failed -> ~a#2k1");
}

/// An older node reads the request without `new_key`, and would count the keys in another way.
#[test]
fn a_new_key_cannot_be_asked_for() {
    check_refused("@law=1 a b!<a c+<b", "a ok; b ok; c refuses; ?retry c newly", "takes a new key by itself");
}

#[test]
fn an_error_is_a_failure() {
    check("@law=1 a", "a errors", "compensated a:failed");
    check("@law=1 a(probe)", "a unknown; timer; a errors", "running a:probing#1 -> probe a#1");
}

#[test]
fn what_was_accepted_is_as_any_other_doubt() {
    let graph = "@law=1 a(probe)";
    check(graph, "a pending; timer; a inconclusive; timer; a inconclusive", "running a:backing_off@200");
    check("@law=1 a(limit=800,safe)", "a pending; timer", "compensating a:~attempting#1 -> ~a#1");
}

#[test]
fn a_lost_attempt_began_when_it_was_decided() {
    check("@law=1 a(once,probe)", "+100; lost; a absent", "running a:settling@1500");
    check("@law=1 a(safe,once)", "+100; lost", "compensating a:unresolved@1500");
}

#[test]
fn three_deaths_in_one_call_put_it_aside() {
    check("@law=1 a(tries=9)", "lost; timer; lost; timer; lost", "stuck a:stuck(process_died)");
}

#[test]
fn a_deadline_holds_when_it_is_found_out() {
    check("@law=1 a(approval,limit=100)", "a shows; +200; approve a", "completed a:done");
    check("@law=1 a(await=go,limit=100)", "+200; provide go", "completed a:done");
}

#[test]
fn an_appended_step_needs_what_it_says() {
    check(
        "@law=1 @open=5000",
        "append a; a ok; append b; b ok; abort",
        "compensating a:~attempting#1 b:~attempting#1 -> ~a#1, ~b#1",
    );
}

#[test]
fn a_step_that_its_transaction_records_was_never_in_doubt() {
    check("@law=1 a(within)", "a unknown", "running a:backing_off@100");
    check_refused("@law=1 a b(within)<a", "a ok; ?resolve b absent", "is being tried");
}

#[test]
fn a_pause_puts_off_the_next_attempt_and_no_probe() {
    check("@law=1 a", "a fails@5000", "running a:backing_off@5000");
    check("@law=1 a", "a unknown; timer; a fails@5000", "running a:backing_off@5100");
    check("@law=1 a", "a unknown@5000", "running a:backing_off@100");
    check("@law=1 a(probe,settle=0)", "a unknown; timer; a fails@5000", "running a:probing#1 -> probe a#1");
    check("@law=1 a(probe,settle=0)", "a unknown; timer; a fails@5000; a absent", "running a:backing_off@300");
    check("@law=1 a(once,probe)", "a unknown; a inconclusive@5000", "running a:settling@50");
    check("@law=1 a(probe) b", "a fails@5000; cancel; b ok", "compensating b:~attempting#1 -> ~b#1");
}

#[test]
fn a_probe_is_asked_no_more_when_its_budget_is_spent() {
    let spent = "a unknown; a inconclusive; timer; a inconclusive";
    check("@law=1 a(once,probe)", spent, "stuck a:stuck(in_doubt)");
}

#[test]
fn a_probe_is_believed_however_old_the_key_is() {
    let history = "a unknown; pause; +9000; resume; a absent; timer";
    check("@law=1 a(life=4000,probe)", history, "running a:attempting#2 -> a#2k1");
}

/// The form of the first row under each law. An older version does not know the kind of the first row of a later law.
#[test]
fn the_first_row_says_the_law() {
    let text = r#"{"started":{"at":7,"input":{"n":1}}}"#;
    let event: Event = serde_json::from_str(text).unwrap();
    let Event::Started(started) = &event else { panic!("{event:?}") };
    assert_eq!(
        (started.law, event.kind(), serde_json::to_string(&event).unwrap().as_str()),
        (Law::V1, "started", text)
    );
    let newest = Event::Started(Started::new(7, Json::null()));
    let text = r#"{"begun":{"law":2,"at":7,"input":null}}"#;
    assert_eq!((newest.kind(), serde_json::to_string(&newest).unwrap().as_str()), ("begun", text));
    assert_eq!(serde_json::from_str::<Event>(text).unwrap(), newest);
    let later = serde_json::from_str::<Event>(r#"{"begun":{"law":3,"at":7,"input":null}}"#).unwrap_err();
    assert!(later.to_string().contains("found 3: a newer version of amends has begun this saga"), "{later}");
}

#[test]
fn a_journal_keeps_its_law_and_its_keys() {
    let story = Story::tell("@law=1 a b<a", "a fails; timer; a ok");
    let state = replay(&story.definition, &story.journal).unwrap();
    assert_eq!((state.law, state.steps[0].action.generation), (Law::V1, 1));
    let key = Key { saga: Uuid::nil(), step: "a", direction: Direction::Action, generation: 1 };
    assert_eq!(key.text(state.law), "00000000-0000-0000-0000-000000000000/a/action/1");
}
