//! Approvals: the question is in the journal before a person is asked. An answer is bound to that question and counts
//! once.

use super::story::{Story, check, check_refused};
use crate::saga::Json;
use crate::saga::Shown;

#[test]
fn what_is_shown_is_on_record_before_anybody_is_asked() {
    check("a(approval) b<a", "", "running a:showing -> show a");
    check("a(approval) b<a", "?approve a; ?deny a; a shows", "running a:asking");
    check("a(approval,limit=9)", "+1; a shows", "running a:asking@10");
    check("a(approval) b<a", "a shows; approve a", "running a:done b:attempting#1 -> b#1");
    check("a b(approval)<a", "a ok; b blanks", "compensating a:~attempting#1 b:failed -> ~a#1");
    check("a(approval)", "lost; lost; convicted", "stuck a:stuck(process_died)");
    check("a(approval)", "lost; lost; convicted; retry a", "running a:showing -> show a");
}

#[test]
fn an_answer_is_bound_to_what_was_shown_and_used_up() {
    check_refused("a(approval)", "a shows; ?approve a another", "look at what it shows");
    check_refused("a(approval) b<a", "a shows; approve a; ?approve a", "asks for no approval now");
    check_refused("a(approval) b<a", "a shows; approve a; ?deny a", "asks for no approval now");
    check_refused("a(approval) b<a", "a shows; ?skip a", "approve or deny what it shows");
    check_refused("a(approval) b<a", "a shows; ?retry a", "a retry does not end");
    check_refused("a", "?approve a", "asks for no approval now");
    let story = Story::tell("a(approval) b<a", "a shows; approve a");
    let output = story.state.steps[0].output.as_ref().unwrap().to_value();
    assert_eq!(output, serde_json::json!({ "approved_by": "ada", "reason": "told" }));
}

#[test]
fn who_started_the_saga_approves_only_where_the_definition_says_so() {
    let refused = "from another person than who started the saga, found ada";
    check_refused("a(approval) b<a", "a shows; ?approve a (starter)", refused);
    check("a(approval) b<a", "a shows; ?approve a (starter); approve a", "running a:done b:attempting#1 -> b#1");
    check("a(approval_by_caller) b<a", "a shows; approve a (starter)", "running a:done b:attempting#1 -> b#1");
    check("a(approval_by_caller) b<a", "a shows; approve a", "running a:done b:attempting#1 -> b#1");
    // Who started it may turn it back.
    check("a(approval)", "a shows; deny a (starter)", "compensated a:failed");
}

#[test]
fn no_and_no_answer_turn_the_saga_back() {
    check("a b(approval)<a", "a ok; b shows; deny b", "compensating a:~attempting#1 b:failed -> ~a#1");
    check("a b(approval,limit=9)<a", "a ok; b shows; timer", "compensating a:~attempting#1 b:failed -> ~a#1");
    check("a b(approval)<a", "a ok; b shows; cancel", "compensating a:~attempting#1 -> ~a#1");
    check_refused("a b(approval)<a", "a ok; b shows; cancel; ?approve b", "asks for no approval now");
    check("a(approval) b<a", "a shows; approve a; cancel; b refuses", "compensated a:nothing b:failed");
}

#[test]
fn a_digest_stands_for_step_message_and_arguments() {
    let digest = |step: &str, message: &str, arguments: &str| {
        Shown::new(step, message.to_owned(), Json::parse(arguments).unwrap()).digest
    };
    let one = digest("pay", "Pay?", "[1]");
    assert_eq!((one.len(), &one), (64, &digest("pay", "Pay?", "[1]")));
    for other in [digest("pa", "yPay?", "[1]"), digest("pay", "Pay!", "[1]"), digest("pay", "Pay?", "[2]")] {
        assert_ne!(one, other);
    }
}
