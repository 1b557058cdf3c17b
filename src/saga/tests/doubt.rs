//! Attempts with an unknown effect: how the doubt ends, and what each answer proves.

use super::story::{Story, check, check_refused};
use crate::saga::attention;
use crate::saga::state::StuckReason;

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
    let spent = "a unknown; a inconclusive; timer; a inconclusive";
    // The budget of probes is spent, but no probe was sent after the settle window. One more probe follows when the
    // window closes.
    check("a(once,probe)", spent, "running a:settling@500");
    check("a(once,probe)", &format!("{spent}; timer; a absent"), "running a:backing_off@600");
    check("a(once,probe)", &format!("{spent}; timer; a inconclusive"), "stuck a:stuck(in_doubt)");
    let again = format!("{spent}; timer; a inconclusive; retry a");
    check("a(once,probe)", &again, "running a:probing#4 -> probe a#4");
}

#[test]
fn absence_proves_nothing_while_a_late_effect_can_land() {
    let graph = "a(once,probe)";
    check(graph, "a unknown; a absent", "running a:settling@500");
    check(graph, "a unknown; a absent; timer", "running a:probing#2 -> probe a#2");
    check(graph, "a unknown; a absent; timer; a absent", "running a:backing_off@600");
    check(graph, "a unknown; a absent; timer; a applied", "completed a:done");
    // A probe that was sent too early costs none of the budget.
    check(graph, "a unknown; a absent; timer; a inconclusive", "running a:settling@550");
    // The probe was sent before the window closed, so its answer proves nothing, however late it comes.
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
    // A refusal such as 401, an unknown tool or a limit of ours can come before the participant looks at the key.
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
    check("a(probe)", "a unknown; timer; a fails; +500; a absent; a absent; timer", "running a:attempting#3 -> a#3k1");
}

#[test]
fn a_key_that_the_participant_may_forget_is_not_used_again() {
    // An attempt lands within its time-out and its settle window, together 1.5 s.
    let graph = "a(life=2000,tries=9)";
    check(graph, "+399; a unknown; timer", "running a:attempting#2 -> a#2");
    check(graph, "+400; a unknown", "stuck a:stuck(in_doubt)");
    check("a(life=2000,probe)", "+401; a unknown", "running a:probing#1 -> probe a#1");
    check("a(life=2000)", "a unknown; pause; +1000; resume", "stuck a:stuck(in_doubt)");
    check_refused("a(life=2000)", "+401; a unknown; ?retry a", "must not be repeated");
    // A new generation is a new key, with a lifetime of its own.
    check("a(life=2000)", "+1000; a fails; timer; a unknown", "running a:backing_off@1300");
}

/// A participant that does not know a key proves absence only while it remembers keys of that age.
#[test]
fn absence_under_a_key_that_may_be_forgotten_proves_nothing() {
    let shown = |history: &str| {
        let story = Story::tell("a(life=4000,probe)", history);
        let error = attention(&story.definition, &story.state).pop().and_then(|one| one.error);
        (story.to_string(), error.map(|error| error.code).unwrap_or_default())
    };
    // The answer is lost, then the saga is paused. The first request under the key was made at 0.
    let paused = |ms: u32| format!("a unknown; pause; +{ms}; resume; a absent");
    assert_eq!(shown(&paused(3_999)), ("running a:backing_off@4099".to_owned(), String::new()));
    assert_eq!(shown(&paused(4_000)), ("running a:settling@4050".to_owned(), "key_forgotten".to_owned()));
    let spent = format!("{}; timer; a absent", paused(4_000));
    assert_eq!(shown(&spent), ("stuck a:stuck(in_doubt)".to_owned(), "key_forgotten".to_owned()));
    // The participant may have looked the key up as late as its answer came. Then only `applied` counts.
    check("a(life=4000,probe)", "a unknown; pause; +3900; resume; +200; a absent", "running a:settling@4150");
    check("a(life=4000,probe)", &format!("{}; timer; a applied", paused(4_000)), "completed a:done");
    // A repeat does not make its key younger: its age counts from the first request. A new key starts a new age.
    let graph = "a(life=4000,probe,tries=9)";
    check(graph, "+2000; a fails; timer; a unknown; pause; +2000; resume; a absent", "running a:settling@4150");
    check(
        graph,
        "a fails; +10; retry a newly; a unknown; pause; +3980; resume; a absent",
        "running a:backing_off@4090",
    );
    // An operator's retry gets no further than the probe. The person must find out by other means.
    check_refused("a(life=4000,probe)", &format!("{spent}; ?retry a newly"), "is in doubt");
    check("a(life=4000,probe)", &format!("{spent}; retry a; a absent; timer; a absent"), "stuck a:stuck(in_doubt)");
    check("a(life=4000,probe)", &format!("{spent}; resolve a absent"), "running a:backing_off@4150");
    // The same holds on the way back, and for a compensation.
    check("a(life=4000,probe)", "a unknown; pause; +4000; cancel; resume; a absent", "compensating a:settling@4050");
    let undone = "a ok; b refuses; ~a unknown; pause; +4000; resume; ~a absent";
    check("a(~life=4000,~probe) b<a", undone, "compensating a:~settling@4050 b:failed");
    // A failed job is looked up by the key too.
    check("a(life=4000,sure)", "a pending; pause; +4000; resume; a absent", "running a:settling@4050");
}

/// An action in doubt is compensated by its key. If the participant has forgotten the key, the compensation finds
/// nothing, though the effect may be there.
#[test]
fn an_action_in_doubt_is_compensated_only_while_its_key_is_remembered() {
    // A compensation lands within its time-out and its settle window, together 1.5 s.
    let graph = "a(safe,once) b(safe,life=4000)<a";
    let doubted = "a ok; b unknown; cancel";
    let later = |ms: u32, rest: &str| format!("{doubted}; pause; +{ms}; resume{rest}");
    check(graph, &later(2_499, ""), "compensating a:done b:~attempting#1 -> ~b#1");
    check(graph, &later(2_500, ""), "stuck a:done b:stuck(in_doubt)");
    // Whether or not the compensation was answered, a repeat of it must find the effect too.
    check(graph, &later(2_000, "; ~b fails; timer; ~b ok; ~a ok"), "compensated a:undone b:undone");
    let lost = later(2_000, "; ~b unknown; pause; +500; resume");
    check(graph, &lost, "stuck a:done b:~stuck(in_doubt)");
    let refused = later(2_000, "; ~b fails; pause; +500; resume");
    check(graph, &refused, "stuck a:done b:stuck(in_doubt)");
    let handed_over = later(2_000, "; handover b; +500; timer");
    check(graph, &handed_over, "stuck a:done b:stuck(in_doubt)");
    // A person resolves the doubt. The compensation of an effect that is known to be in place does not depend on the
    // key.
    check_refused(graph, &later(2_500, "; ?retry b"), "must not be repeated");
    check(graph, &format!("{refused}; resolve b applied"), "compensating a:done b:~attempting#2 -> ~b#2");
    check(graph, &format!("{refused}; resolve b absent"), "compensating a:~attempting#1 b:failed -> ~a#1");
    check(graph, &format!("{lost}; resolve b absent; timer"), "stuck a:done b:stuck(in_doubt)");
    // The probe is asked first. After the key's lifetime only `applied` counts.
    let probed = "a(safe,life=4000,probe)";
    let late = "a unknown; cancel; pause; +2500; resume";
    check(probed, late, "compensating a:probing#1 -> probe a#1");
    check(probed, &format!("{late}; a applied"), "compensating a:~attempting#1 -> ~a#1");
    let error = Story::tell(graph, &later(2_500, ""));
    let error = attention(&error.definition, &error.state).pop().and_then(|one| one.error);
    assert_eq!(error.map(|error| error.code), Some("key_forgotten".to_owned()));
    // Under law 1 the compensation was sent all the same.
    check(&format!("@law=1 {graph}"), &later(2_500, ""), "compensating a:done b:~attempting#1 -> ~b#1");
}

#[test]
fn what_was_accepted_is_asked_for_later() {
    check("a(probe)", "a pending", "running a:settling@50");
    check("a(probe)", "a pending@900", "running a:settling@900");
    check("a(probe)", "a pending; timer; a applied", "completed a:done");
    let spent = "a pending; timer; a inconclusive; timer; a inconclusive";
    check("a(probe)", &format!("{spent}; timer; a inconclusive"), "stuck a:stuck(in_doubt)");
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
    // `safe`: the action is compensated once the window has closed, without knowing whether it had an effect.
    check("a(safe,once)", "a unknown", "compensating a:unresolved@500");
    check("a(safe,once)", "a unknown; timer", "compensating a:~attempting#1 -> ~a#1");
    check("a(safe,once)", "a unknown; timer; ~a ok", "compensated a:undone");
    check("a(safe) b", "a unknown; b refuses", "compensating a:unresolved@500 b:failed");
    // `stays`: the effect may stay, so it does not matter whether it happened.
    check("a(stays,once) b", "a unknown; b ok", "compensating a:unresolved@500 b:~attempting#1 -> ~b#1");
    check("a(stays,once)", "a unknown; timer", "compensated a:left");
}

#[test]
fn on_the_way_back_asking_is_better_than_repeating() {
    check("a(probe) b", "a unknown; b refuses", "compensating a:probing#1 b:failed -> probe a#1");
    check("a(probe) b", "a unknown; b refuses; +500; a absent; a absent", "compensated a:failed b:failed");
    check("a(probe) b", "a unknown; b refuses; a applied", "compensating a:~attempting#1 b:failed -> ~a#1");
    // Without a probe a repeat resolves the doubt, and its effect is undone.
    check("a b", "a unknown; b refuses", "compensating a:backing_off@100 b:failed");
    check("a b", "a unknown; b refuses; timer; a ok", "compensating a:~attempting#1 b:failed -> ~a#1");
}

#[test]
fn a_compensation_in_doubt_is_resolved_by_the_same_means() {
    let graph = "a(~probe,~tries=2) b<a";
    check(graph, "a ok; b refuses; ~a unknown", "compensating a:~backing_off@100 b:failed");
    check(graph, "a ok; b refuses; ~a unknown; timer", "compensating a:~attempting#2 b:failed -> ~a#2");
    check(graph, "a ok; b refuses; ~a unknown; timer; ~a unknown; ~a applied", "compensated a:undone b:failed");
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

#[test]
fn the_pause_that_a_participant_asks_for_is_kept_whatever_comes_between() {
    // A probe comes between.
    let graph = "a(probe,settle=0)";
    check(graph, "a unknown; timer; a fails@5000", "running a:settling@5100");
    check(graph, "a unknown; timer; a fails@5000; timer; a absent", "running a:backing_off@5300");
    check("a(once,probe)", "a unknown@60000", "running a:settling@60000");
    check("a(once,probe)", "a unknown@60000; timer; a absent", "running a:backing_off@60100");
    check("a(probe)", "a errors@5000", "running a:settling@5000");
    // The probe asks for a pause itself.
    check("a(once,probe)", "a unknown; a inconclusive@60000", "running a:settling@60000");
    check("a(probe,settle=0)", "a pending; timer; a inconclusive@900", "running a:settling@950");
    // The saga turns back.
    check("a(probe) b", "a unknown@5000; b refuses", "compensating a:settling@5000 b:failed");
    check("a b", "a unknown@5000; b refuses", "compensating a:backing_off@5000 b:failed");
    check("a(~probe) b<a", "a ok; b refuses; ~a errors@5000", "compensating a:~settling@5000 b:failed");
    // A person resolves the doubt.
    check("a(once,probe)", "a unknown@5000; resolve a absent", "running a:backing_off@5000");
    // A person asks for a retry: it does not wait for the pause.
    check("a", "a fails@5000; retry a", "running a:attempting#2 -> a#2");
    check("a(probe)", "a errors@5000; retry a", "running a:probing#1 -> probe a#1");
    // An attempt that would come too late is not waited for.
    check("a(limit=2000)", "a fails@5000", "compensated a:failed");
    check("a(limit=2000,probe)", "a unknown@5000; timer; a applied", "completed a:done");
    check("a(life=9000)", "a unknown@8000", "stuck a:stuck(in_doubt)");
    // A call that is handed over unbegun is begun again. A lost owner does not shorten the pause.
    check("a(probe)", "a unknown@900; timer; handover a", "running a:backing_off@900");
    check("a(once,probe)", "a unknown@900; timer; lost", "running a:probing#2 -> probe a#2");
}

#[test]
fn the_key_that_is_shown_is_the_one_that_was_sent() {
    let shown = |graph: &str, history: &str| {
        let story = Story::tell(graph, history);
        let attention = attention(&story.definition, &story.state);
        attention.iter().map(|one| (one.stuck, one.generation)).collect::<Vec<_>>()
    };
    let failed = |generation| vec![(Some(StuckReason::Failed), generation)];
    let graph = "a b+(probe)<a";
    let absent = "a ok; b unknown; timer; b refuses; +500; b absent; b absent";
    assert_eq!(shown(graph, absent), failed(0));
    check(graph, &format!("{absent}; retry b"), "running a:done b:attempting#3 -> b#3k1");
    let graph = "a(~probe,~tries=1) b<a";
    let absent = "a ok; b refuses; ~a unknown; +500; ~a absent; ~a absent";
    assert_eq!(shown(graph, absent), failed(0));
    let again = format!("{absent}; retry a; ~a unknown; +500; ~a absent; ~a absent");
    assert_eq!(shown(graph, &again), failed(1));
    // Two requests for a new key before the next attempt make one new key.
    let twice = "a fails@900; retry a newly; a fails@900; retry a newly";
    check("a", twice, "running a:attempting#3 -> a#3k2");
    let twice = "pause; a fails@900; retry a newly; retry a newly; resume";
    check("a", twice, "running a:attempting#2 -> a#2k1");
    assert_eq!(shown("@law=1 a b+<a", "a ok; b refuses"), failed(0));
}

#[test]
fn what_is_recorded_with_its_effect_is_repeated_when_it_is_given_up() {
    check("a(within)", "a unknown", "running a:backing_off@100");
    check("a(within)", "a unknown; timer; a ok", "completed a:done");
    check("a(within,tries=1)", "a unknown", "compensated a:failed");
    check("a(within) b<a", "cancel; a unknown", "compensated a:failed");
    check("a(~within) b<a", "a ok; b refuses; ~a unknown; timer; ~a ok", "compensated a:undone b:failed");
    check("a(~within,~tries=1) b<a", "a ok; b refuses; ~a unknown", "stuck a:~stuck(failed) b:failed");
}
