//! Processes that die, and processes that hand back their sagas.

use super::story::{Story, check, check_refused};
use crate::saga::event::{Event, OwnerLost};
use crate::saga::{deaths_in_a_row, suspected};

#[test]
fn an_attempt_lost_with_its_process_is_unknown() {
    check("a", "lost", "running a:backing_off@100");
    check("a", "lost; timer", "running a:attempting#2 -> a#2");
    check("a(once)", "lost", "stuck a:stuck(in_doubt)");
    check("a(once,probe)", "lost", "running a:probing#1 -> probe a#1");
    check("a(reads)", "lost; timer", "running a:attempting#2 -> a#2");
    // The effect would be in the same transaction as the missing row.
    check("a(within)", "lost; timer", "running a:attempting#2 -> a#2");
    check("a(within,tries=1)", "lost", "compensated a:failed");
    check("a(~within) b<a", "a ok; b refuses; lost; timer", "compensating a:~attempting#2 b:failed -> ~a#2");
    check("a b", "a ok; lost", "running a:done b:backing_off@100");
    check("a b<a", "a ok; b refuses; lost", "compensating a:~backing_off@100 b:failed");
    check_refused("a(sleep=9)", "?lost", "nothing was in flight");
}

#[test]
fn a_lost_owner_may_still_live_so_its_attempt_ends_with_its_timeout() {
    // The owner is given up at 100 ms, but may live. Its call can still be answered 1000 ms later, and can land 1500
    // ms later, at 1600 ms.
    check("a(once,probe)", "+100; lost; a absent", "running a:settling@1600");
    check("a(safe,once)", "+100; lost", "compensating a:unresolved@1600");
    check("a(once,probe)", "+3000; lost; a absent", "running a:settling@4500");
    // A later attempt that ends sooner does not shorten that.
    check("a(probe,tries=2)", "lost; timer; a unknown; a absent", "running a:settling@1500");
}

#[test]
fn questions_are_put_again_and_nothing_else() {
    check("a(once,probe)", "a unknown; lost", "running a:probing#2 -> probe a#2");
    check("a(when)", "lost", "running a:deciding -> decide a");
    check("a(when) b(sleep=10)", "lost; timer; a run", "running a:attempting#1 b:done -> a#1");
}

#[test]
fn a_call_that_keeps_killing_its_process_waits_for_a_person() {
    let thrice = "lost; timer; lost; timer; convicted";
    check("a(tries=9)", thrice, "stuck a:stuck(process_died)");
    check("a(tries=9)", &format!("{thrice}; retry a"), "running a:backing_off@400");
    check("a(when)", "lost; lost; convicted", "stuck a:stuck(process_died)");
    check("a(when)", "lost; lost; convicted; retry a", "running a:deciding -> decide a");
    check("a(once,probe)", "a unknown; lost; lost; convicted", "stuck a:stuck(process_died)");
    check("a(reads,tries=9)", &format!("{thrice}; retry a"), "running a:attempting#4 -> a#4");
    check("a(tries=9)", "lost; timer; lost; timer; a fails; timer; lost", "running a:backing_off@1500");
}

#[test]
fn deaths_alone_convict_nobody() {
    let five = "lost; timer; lost; timer; lost; timer; lost; timer; lost";
    check("a(tries=9)", five, "running a:backing_off@2500");
    check("a(when)", "lost; lost; lost; lost", "running a:deciding -> decide a");
    check("a(once,probe)", "a unknown; lost; lost; lost; lost", "running a:probing#5 -> probe a#5");
    // A trial convicts only the call that was tried, not one that began later, nor one that runs beside it.
    check("a(tries=9)", "lost; timer; convicted", "running a:backing_off@300");
    check(
        "a(tries=9) b(tries=9)",
        "b unknown; lost; timer; lost; timer; convicted",
        "stuck a:stuck(process_died) b:backing_off@700",
    );
}

#[test]
fn a_journal_from_before_trials_convicts_by_no_event() {
    let row = r#"{"owner_lost":{"at":5,"jitter":0.5}}"#;
    let event: Event = serde_json::from_str(row).unwrap();
    assert_eq!(event, Event::OwnerLost(OwnerLost { at: 5, jitter: 0.5, convicted: false }));
    assert_eq!(serde_json::to_string(&event).unwrap(), row);
}

#[test]
fn deaths_are_counted_while_a_call_waits_for_its_next_attempt() {
    let deaths = |graph: &str, history: &str| deaths_in_a_row(&Story::tell(graph, history).state);
    assert_eq!(deaths("a(tries=9)", "lost; timer; lost"), 2);
    assert_eq!(deaths("a(tries=9)", "lost; timer; lost; timer; a fails"), 0);
    assert_eq!(deaths("a(once,probe)", "a unknown; lost; lost"), 2);
    assert_eq!(deaths("a(sleep=9)", ""), 0);
    assert_eq!(deaths("a(tries=9)", "lost; timer; lost; timer; convicted"), 0, "it waits for a person");
}

#[test]
fn what_a_probe_answers_is_no_news_of_a_call_that_kills() {
    // The probe is asked too early, then again after the settle window. Then the call is tried again.
    let death = "lost; a absent; timer; a absent; timer";
    check("a(once,probe,tries=9)", &format!("{death}; {death}"), "running a:attempting#3 -> a#3k2");
    check("a(once,probe,tries=9)", &format!("{death}; {death}; convicted"), "stuck a:stuck(process_died)");
    // Several processes may die during probes, as long as a probe is answered in between.
    let asked = "a unknown; lost; lost; a absent; timer; lost; lost";
    check("a(once,probe)", asked, "running a:probing#6 -> probe a#6");
}

#[test]
fn a_call_is_suspected_before_the_last_death() {
    let is_suspect = |graph: &str, history: &str| suspected(&Story::tell(graph, history).state);
    assert!(!is_suspect("a(tries=9)", "lost; timer"));
    assert!(!is_suspect("a(tries=9)", "lost; timer; lost"), "it is not tried yet");
    assert!(is_suspect("a(tries=9)", "lost; timer; lost; timer"));
    assert!(!is_suspect("a(tries=9)", "lost; timer; lost; timer; a fails; timer"));
    assert!(is_suspect("a(once,probe)", "a unknown; lost; lost"));
    // A condition or a question, where only an expression can crash the process, is tried alone too.
    assert!(!is_suspect("a(when)", "lost"));
    assert!(is_suspect("a(when)", "lost; lost"));
    assert!(is_suspect("a(approval)", "lost; lost"));
}

#[test]
fn the_last_loss_counts_for_the_settle_window_too() {
    let graph = "a(probe,tries=3)";
    let thrice = "lost; timer; lost; timer; +5000; convicted";
    check(graph, thrice, "stuck a:stuck(process_died)");
    check(graph, &format!("{thrice}; retry a; timer; a refuses; a absent"), "running a:settling@6800");
}

#[test]
fn a_person_may_turn_back_or_settle_what_kills_its_process() {
    let thrice = "lost; timer; lost; timer; convicted";
    check("a(tries=9)", &format!("{thrice}; resolve a absent"), "running a:backing_off@700");
    check("a(tries=9)", &format!("{thrice}; resolve a absent; timer; lost"), "running a:backing_off@1500");
    check("a(tries=9)", &format!("{thrice}; cancel"), "stuck a:stuck(process_died)");
    check("a(tries=9,safe)", &format!("{thrice}; cancel"), "compensating a:unresolved@1800");
    check("a(when)", "lost; lost; convicted; cancel", "compensated");
}

#[test]
fn what_an_owner_hands_back_unbegun_costs_no_attempt() {
    check("a b", "handover a", "running a:backing_off@0 b:attempting#1");
    check("a b", "handover a; timer", "running a:attempting#1 b:attempting#1 -> a#1");
    check("a b<a", "a ok; b refuses; handover a; timer", "compensating a:~attempting#1 b:failed -> ~a#1");
    check("a(once,probe)", "a unknown; handover a", "running a:settling@0");
    check("a(once,probe)", "a unknown; handover a; timer", "running a:probing#1 -> probe a#1");
    // The limit of a step counts from the first attempt that was made.
    check("a(limit=400)", "+100; handover a; +500; timer; a fails", "running a:backing_off@700");
    check(
        "a(~limit=400) b<a",
        "a ok; b refuses; handover a; +500; timer",
        "compensating a:~attempting#1 b:failed -> ~a#1",
    );
    // The limit also ends the step while the call waits for its place.
    check("a(limit=400)", "+400; handover a; timer", "compensated a:failed");
    check("a(~limit=400) b<a", "a ok; b refuses; +400; handover a; timer", "stuck a:~stuck(failed) b:failed");
    // So does the lifetime of the key: no repeat is made that could land after it.
    check("a(life=2000)", "a unknown; timer; +400; handover a; timer", "stuck a:stuck(in_doubt)");
    check("a(life=2000)", "a unknown; timer; +399; handover a; timer", "running a:attempting#2 -> a#2");
    check_refused("a b<a", "?handover b", "neither an attempt nor a probe");
    check_refused("a(when)", "?handover a", "neither an attempt nor a probe");
    check("a b", "handover a; lost", "running a:attempting#1 b:backing_off@100 -> a#1");
    check("a b", "handover a; cancel; b refuses", "compensated b:failed");
}
