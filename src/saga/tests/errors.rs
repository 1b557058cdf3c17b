//! Law 2: errors that may come after the effect, refusals that answer for the key, accepted calls, and the reasons to
//! give up a key.

use super::story::{check, check_refused};

#[test]
fn an_error_is_asked_about_at_once_and_again_when_a_late_effect_has_had_its_time() {
    let graph = "a(probe)";
    check(graph, "a errors", "running a:probing#1 -> probe a#1");
    check(graph, "a errors; a applied", "completed a:done");
    check(graph, "a errors; a absent", "running a:settling@500");
    check(graph, "a errors; a absent; timer; a applied", "completed a:done");
    check(graph, "a errors; a absent; timer; a absent", "compensated a:failed");
    let spent = "a errors; a inconclusive; timer; a inconclusive";
    check(graph, spent, "running a:settling@500");
    check(graph, &format!("{spent}; timer; a absent"), "compensated a:failed");
    check(graph, &format!("{spent}; timer; a inconclusive"), "stuck a:stuck(in_doubt)");
    // The same holds for a compensation, which must go on, and for each of its attempts.
    let undoing = "a ok; b refuses; ~a errors; ~a inconclusive; timer; ~a inconclusive";
    let undoable = "a(~probe,~tries=2) b<a";
    check(undoable, undoing, "compensating a:~settling@500 b:failed");
    let repeated = format!("{undoing}; timer; ~a inconclusive; timer; ~a errors");
    check(undoable, &repeated, "compensating a:~settling@1100 b:failed");
    check(undoable, &format!("{repeated}; timer; ~a inconclusive"), "stuck a:~stuck(in_doubt) b:failed");
    check(
        "a p!(probe)<a",
        "a ok; p errors; p absent; timer; p absent",
        "compensating a:~attempting#1 p:failed -> ~a#1",
    );
}

#[test]
fn an_error_without_a_probe_is_no_reason_to_repeat_an_action() {
    check("a", "a errors", "stuck a:stuck(in_doubt)");
    check("a(once)", "a errors", "stuck a:stuck(in_doubt)");
    check("a(safe)", "a errors", "compensating a:unresolved@500");
    check("a(safe)", "a errors; timer", "compensating a:~attempting#1 -> ~a#1");
    check("a(safe,probe)", "a errors", "running a:probing#1 -> probe a#1");
    check("a(stays)", "a errors; timer", "compensated a:left");
    check("a", "a unknown; timer; a errors", "stuck a:stuck(in_doubt)");
    // An operator who knows that a repeat is safe may have the call repeated under the same key.
    check("a", "a errors; retry a; timer", "running a:attempting#2 -> a#2");
    check_refused("a(once)", "a errors; ?retry a", "must not be repeated");
}

#[test]
fn what_must_go_on_is_tried_again_after_an_error() {
    let graph = "a b+(probe)<a";
    check(graph, "a ok; b errors", "running a:done b:probing#1 -> probe b#1");
    check(graph, "a ok; b errors; b absent; timer; b absent; timer", "running a:done b:attempting#2 -> b#2k1");
    check("a b+<a", "a ok; b errors; timer", "running a:done b:attempting#2 -> b#2");
    check("a b+<a", "a ok; b errors; timer; b errors; timer; b errors", "stuck a:done b:stuck(in_doubt)");
    check("a b+(once)<a", "a ok; b errors", "stuck a:done b:stuck(in_doubt)");
    let undo = "a ok; b refuses";
    check("a b<a", &format!("{undo}; ~a errors; timer"), "compensating a:~attempting#2 b:failed -> ~a#2");
    check("a(~once) b<a", &format!("{undo}; ~a errors"), "stuck a:~stuck(in_doubt) b:failed");
    let probed = format!("{undo}; ~a errors; ~a absent; timer; ~a absent; timer");
    check("a(~probe) b<a", &probed, "compensating a:~attempting#2 b:failed -> ~a#2k1");
    check("a(~probe) b<a", &format!("{undo}; ~a errors; ~a applied"), "compensated a:undone b:failed");
    check("a b+<a", "a ok; b errors@900", "running a:done b:backing_off@900");
}

#[test]
fn an_error_of_a_read_is_a_failure() {
    check("a(reads)", "a errors", "compensated a:failed");
}

#[test]
fn an_error_of_a_saga_that_turns_back_is_asked_about() {
    check("a(probe) b", "b refuses; a errors", "compensating a:probing#1 b:failed -> probe a#1");
    check("a(safe) b", "b refuses; a errors", "compensating a:unresolved@500 b:failed");
    check("a b", "b refuses; a errors", "stuck a:stuck(in_doubt) b:failed");
}

#[test]
fn a_key_is_given_up_for_four_reasons_only() {
    check("a", "a fails; timer", "running a:attempting#2 -> a#2");
    check("a(once)", "a fails; timer", "running a:attempting#2 -> a#2");
    // A probe has proved absence.
    check("a(once,probe)", "a unknown; +500; a absent; a absent; timer", "running a:attempting#2 -> a#2k1");
    // Nothing is in doubt, and the participant may forget the key.
    check("a(life=2000)", "a fails; +600; timer", "running a:attempting#2 -> a#2k1");
    check("a(life=2000)", "a fails; timer", "running a:attempting#2 -> a#2");
    check("a(life=2000)", "a unknown; +600; timer", "stuck a:stuck(in_doubt)");
    // The definition says that the participant repeats its refusal under this key.
    check("a", "a renews; timer", "running a:attempting#2 -> a#2k1");
    check("a(probe)", "a unknown; timer; a renews", "running a:probing#1 -> probe a#1");
    check("a", "a unknown; timer; a renews; timer", "running a:attempting#3 -> a#3");
    // An operator asks for a new key.
    let stuck = "a ok; b refuses";
    check("a b+<a", &format!("{stuck}; retry b"), "running a:done b:attempting#2 -> b#2");
    check("a b+<a", &format!("{stuck}; retry b newly"), "running a:done b:attempting#2 -> b#2k1");
    check_refused("a b+<a", "a ok; b unknown; ?retry b newly", "could take effect twice");
    check_refused("a", "a unknown; timer; a unknown; timer; a unknown; ?retry a newly", "could take effect twice");
}

#[test]
fn a_refusal_answers_for_the_attempts_before_only_if_it_says_so_and_they_have_landed() {
    // The refusal answers for the key, and its attempt began after the settle window of the doubtful attempt.
    check("a(settle=100)", "a unknown; timer; a declines", "compensated a:failed");
    // The refusal answers for the key, but its attempt began too early. The call is repeated later.
    check("a", "a unknown; timer; a declines", "running a:backing_off@500");
    check("a", "a unknown; timer; a declines; timer; a declines", "compensated a:failed");
    check("a", "a unknown; timer; a declines; timer; a ok", "completed a:done");
    check("a(tries=2)", "a unknown; timer; a declines", "stuck a:stuck(in_doubt)");
    // The refusal does not answer for the key, so it says nothing of the attempt before.
    check("a(settle=100)", "a unknown; timer; a refuses; timer; a refuses", "stuck a:stuck(in_doubt)");
    // With a probe, the probe is asked.
    check("a(probe,settle=0)", "a unknown; timer; a declines", "running a:probing#1 -> probe a#1");
    let undo = "a ok; b refuses; ~a unknown; timer; ~a declines";
    check("a(~settle=100) b<a", undo, "stuck a:~stuck(failed) b:failed");
}

#[test]
fn what_was_accepted_is_never_sent_again_by_itself() {
    // "Not found" does not prove that nothing will come.
    check("a(probe)", "a pending@600; timer; a absent", "running a:settling@650");
    check("a(probe)", "a pending@600; timer; a absent; timer; a absent", "stuck a:stuck(in_doubt)");
    // `absent` of a `sure` probe does: the job has failed.
    check("a(sure)", "a pending@600; timer; a absent", "compensated a:failed");
    check("a(sure)", "a pending; timer; a absent", "running a:settling@500");
    let spent = "a pending; timer; a inconclusive; timer; a inconclusive";
    check("a(sure)", &format!("{spent}; timer; a inconclusive"), "stuck a:stuck(in_doubt)");
    check("a b+(sure)<a", "a ok; b pending@600; timer; b absent", "stuck a:done b:stuck(failed)");
    check("a(~sure) b<a", "a ok; b refuses; ~a pending@600; timer; ~a absent", "stuck a:~stuck(failed) b:failed");
    check("a(sure)", "a unknown; timer; a pending@600; timer; a absent", "compensated a:failed");
    // `safe` and `stays` do not leave an accepted call open.
    check("a(safe,limit=800)", "a pending; timer", "stuck a:stuck(in_doubt)");
    check("a(safe,sure) b", "a pending; b refuses", "compensating a:settling@50 b:failed");
    check("a(stays,sure) b", "a pending; b refuses; timer; a applied", "compensated a:left b:failed");
    check_refused("a(limit=800)", "a pending; timer; ?retry a", "must not be repeated");
    check("a(limit=800)", "a pending; timer; resolve a absent", "compensated a:failed");
    check("a(limit=800)", "a pending; resolve a absent", "running a:backing_off@100");
}

#[test]
fn a_request_after_a_deadline_is_refused_whenever_it_is_read() {
    let late = "deadline_passed";
    let graph = "a(approval,limit=100)";
    check(graph, "a shows; +200; approve a @99", "completed a:done");
    check_refused(graph, "a shows; +200; ?approve a @100", late);
    check_refused(graph, "a shows; +200; ?deny a @150", late);
    check_refused(graph, "a shows; pause; +200; ?approve a @150", late);
    check(graph, "a shows; pause; +200; approve a @50; resume", "completed a:done");
    check("a(await=go,limit=100)", "+200; provide go @99", "completed a:done");
    check_refused("a(await=go,limit=100)", "+200; ?provide go @100", late);
    check_refused("@deadline=100 a(await=go)", "+200; ?provide go @100", late);
    // The event is in time for its step, but the saga is past its deadline.
    check("@deadline=100 a(await=go) b<a", "+200; provide go @99", "running a:done");
    check("@deadline=100 a(await=go)", "+200; provide go @99; timer", "compensated a:nothing");
    check_refused("@open=1000", "append a; a ok; +2000; ?touch @1000", late);
    check("@open=1000", "append a; a ok; +2000; touch @999", "running a:done");
    check_refused("@open=1000", "append a; a ok; +2000; ?commit @1500", late);
    check("a(limit=100)", "a pending; +200; provide a @99", "completed a:done");
    check_refused("a(limit=100)", "a pending; +200; ?provide a @100", late);
    // Only the timer ends a wait, whatever is heard before it.
    let two = "a(await=x,limit=100) b(await=y,limit=100)";
    check(two, "+200; provide x @50; provide y @50", "completed a:done b:done");
    check(two, "+200; provide x @50; timer; ", "compensated a:nothing b:failed");
    check("a(await=go,limit=100)", "+200; refused; provide go @50", "completed a:done");
    check(
        "@deadline=100 a(await=x) b(await=y)",
        "+200; provide x @50; provide y @50; timer",
        "compensated a:nothing b:nothing",
    );
    check("a(await=go,limit=100) b", "+200; lost; provide go @50", "running a:done b:backing_off@300");
    check("@deadline=100 a(await=go) b", "+200; b ok", "running a:awaiting b:done");
    check("@open=1000", "append a; a ok; +2000; append b @500", "running a:done b:attempting#1 -> b#1");
    check_refused("a(await=go,limit=100)", "+200; ?skip a @100", late);
    check("a(await=go,limit=100)", "+200; skip a @99", "completed a:done");
    // A request that stops the saga is never too late.
    check("@deadline=100 a(await=go)", "+200; cancel", "compensated");
}

/// The deadline's timer has fired, and the saga goes on or turns back.
#[test]
fn a_request_after_a_deadline_is_refused_by_that_name_until_the_saga_ends() {
    let late = |graph: &str, history: &str| check_refused(graph, history, "deadline_passed: ");
    // The step has failed by its deadline.
    let asks = "b a(approval,limit=100)<b";
    for word in ["approve a", "deny a", "skip a"] {
        late(asks, &format!("b ok; a shows; timer; ?{word}"));
        late(asks, &format!("b ok; a shows; timer; +900; ?{word}"));
    }
    let waits = "b a(await=go,limit=100)<b";
    for word in ["provide go", "skip a"] {
        late(waits, &format!("b ok; timer; ?{word}"));
    }
    late("a+(await=go,limit=100)", "timer; ?provide go");
    check("a+(await=go,limit=100)", "timer; skip a", "completed a:done");
    check("a+(await=go,limit=100)", "timer; retry a; provide go", "completed a:done");
    late("a(limit=100)", "a pending; timer; ?provide a");
    late("a b(limit=100)<a c<b", "a ok; b pending; timer; ?provide b");
    late("a(~limit=100) b<a", "a ok; b refuses; ~a pending; timer; ?provide a.compensation");
    // The same in an open saga, whose driver decides what follows. Another step may wait for the same event.
    let open = "append a(await=go,limit=100); timer";
    late("@open=5000", &format!("{open}; ?provide go"));
    check("@open=5000", &format!("{open}; append b(await=go); provide go"), "running a:failed b:done");
    check("@open=5000", &format!("{open}; skip a; commit"), "completed a:failed");
    // The saga has turned back.
    let asks = "@deadline=1000 b a(approval)<b";
    for word in ["approve a", "deny a", "skip a", "provide go"] {
        late(asks, &format!("b ok; a shows; timer; ?{word}"));
    }
    check(asks, "b ok; timer; ~b pending; provide b.compensation", "compensated b:undone");
    check(asks, "b ok; timer; ~b refuses; skip b", "compensated b:by_hand");
    for graph in ["@open=1000", "@deadline=1000 @open=5000", "@deadline=1000 @open=5000 x(await=y)"] {
        for word in ["append b", "commit", "touch"] {
            late(graph, &format!("append a; a ok; timer; ?{word}"));
        }
    }
    late("@open=1000 a b(approval)<a", "a ok; b shows; timer; ?approve b");
    // The saga could not turn back any more, so the plan stays as it is.
    for word in ["append b", "commit", "touch"] {
        late("@open=1000 p! c+<p", &format!("p ok; timer; ?{word}"));
        late("@open=1000 p! c+<p", &format!("timer; p ok; ?{word}"));
        late("@deadline=1000 @open=5000 p! c+<p", &format!("timer; p ok; ?{word}"));
    }
}

#[test]
fn a_refusal_for_another_reason_does_not_blame_a_deadline() {
    let asks = "b a(approval,limit=100)<b";
    check_refused(asks, "b ok; a shows; cancel; ?approve a", "asks for no approval now");
    check_refused(asks, "b ok; a shows; deny a; ?approve a", "asks for no approval now");
    check_refused(asks, "b ok; a blanks; ?approve a", "asks for no approval now");
    check_refused("b a(await=go,limit=100)<b", "b ok; cancel; ?provide go", "turning back");
    let turned = "b ok; timer";
    let graph = "@deadline=1000 b a(await=go)<b";
    check_refused(graph, &format!("{turned}; ?touch"), "not open");
    check_refused(graph, &format!("{turned}; ?approve b"), "asks for no approval now");
    check_refused(graph, &format!("{turned}; ?approve z"), "no step \"z\"");
    check_refused(graph, &format!("{turned}; ?cancel"), "turning back already");
    check_refused("@open=1000 p! c+<p", "p ok; commit; ?touch", "not open");
    check_refused("@open=1000 p! c+<p", "cancel; p ok; ?touch", "not open");
    check_refused("@law=1 b a(approval,limit=100)<b", "b ok; a shows; timer; ?approve a", "no approval now");
}

#[test]
fn an_appended_step_comes_after_what_is_done() {
    let graph = "@open=5000";
    check(graph, "append a; a ok; append b; b ok; abort", "compensating a:done b:~attempting#1 -> ~b#1");
    check(graph, "append a; append b; a ok; b ok; abort", "compensating a:~attempting#1 b:~attempting#1 -> ~a#1, ~b#1");
    check(graph, "append a; a ok; append b; append b", "running a:done b:attempting#1");
}

#[test]
fn a_handler_that_ended_its_transaction_is_looked_at_by_a_person() {
    check("a(within)", "a ends", "stuck a:stuck(in_doubt)");
    check("a(within,safe)", "a ends", "stuck a:stuck(in_doubt)");
    check_refused("a(within)", "a ends; ?retry a", "must not be repeated");
    check("a(within)", "a ends; resolve a applied", "completed a:done");
    check("a(within) b<a", "a ends; cancel", "stuck a:stuck(in_doubt)");
    let undo = "a ok; b refuses; ~a ends";
    check("a(~within) b<a", undo, "stuck a:~stuck(in_doubt) b:failed");
    check_refused("a(~within) b<a", &format!("{undo}; ?retry a"), "must not be repeated");
    check("a(~within) b<a", &format!("{undo}; resolve a applied"), "compensated a:by_hand b:failed");
    // Otherwise the call is never in doubt.
    check_refused("a(within,tries=9)", "lost; timer; lost; timer; lost; ?resolve a absent", "never in doubt");
    check_refused("a(~within) b<a", "a ok; b refuses; ~a refuses; ?resolve a applied", "never in doubt");
}
