//! Declarations that prove that an error of a tool had no effect. Rules that amends refuses in new definitions but
//! still folds. Rules that draw a warning.

use serde_json::json;

use crate::saga::definition::{Call, Draft, Errors, Probe, Rule, Step, Target, Verdict};
use crate::saga::{Definition, doubtful_rules, silent_errors_of_step, unsound_rules_of_step};

fn tool() -> Call {
    Call::tool("bank", "charge", json!({}))
}

fn handler() -> Call {
    Call::handler("h").idempotent()
}

fn rule(when: &str, outcome: Verdict) -> impl Fn(Call) -> Call {
    move |call| call.classify(Rule::new(when, outcome))
}

fn probed(call: Call) -> Call {
    let Call { target, .. } = tool();
    call.probe(Probe::new(target, "result.found"))
}

/// Returns where a declaration counts, one letter each: for an action, a compensation, a pivot, a retriable step and
/// a step that only reads.
fn counted(of_call: &dyn Fn(Call) -> Call, of_step: &dyn Fn(Step) -> Step) -> String {
    let call = || of_call(tool());
    [
        Step::new("a", call()).compensation(handler()),
        Step::new("a", handler()).compensation(call()),
        Step::new("a", call()).pivot(),
        Step::new("a", call()).retriable(),
        Step::new("a", call().read_only()),
    ]
    .map(|step| silent_errors_of_step("step", &of_step(step), |_| false).is_empty())
    .map(|counts| if counts { 'x' } else { '.' })
    .iter()
    .collect()
}

/// A declaration in words, its change to the call, its change to the step, and where it counts.
type Item<'a> = (&'a str, &'a dyn Fn(Call) -> Call, &'a dyn Fn(Step) -> Step, &'a str);

#[test]
fn each_item_counts_where_it_says_what_an_error_proves() {
    let errors = |errors| move |call: Call| call.errors(errors);
    let refused = |when: &'static str| move |call: Call| call.refused(when);
    let success = "outcome == 'succeeded' && result.code == 'x'";
    let table: [Item<'_>; 16] = [
        ("nothing", &|call| call, &|step| step, "....x"),
        ("refused", &refused("text.contains('declined')"), &|step| step, "xxxxx"),
        ("refused, of a success", &refused(success), &|step| step, "....x"),
        ("classify to failed", &rule("error != null", Verdict::Failed), &|step| step, "xxxxx"),
        ("classify to retryable", &rule("text == 'busy'", Verdict::Retryable), &|step| step, "xxxxx"),
        ("classify a success", &rule(success, Verdict::Failed), &|step| step, "....x"),
        ("classify to errored", &rule("error != null", Verdict::Errored), &|step| step, "....x"),
        ("classify to succeeded", &rule("error != null", Verdict::Succeeded), &|step| step, "....x"),
        ("classify to pending", &rule("error != null", Verdict::Pending), &|step| step, "....x"),
        ("classify to unknown", &rule("error != null", Verdict::Unknown), &|step| step, "....x"),
        ("errors: definite", &errors(Errors::Definite), &|step| step, "xxxxx"),
        ("errors: unknown", &errors(Errors::Unknown), &|step| step, "....x"),
        ("probe", &probed, &|step| step, "xxxxx"),
        // `safe_when_absent` counts only with a compensation, which a pivot and a retriable step do not have.
        ("safe_when_absent", &|call| call, &Step::safe_when_absent, "x...x"),
        ("irreversible", &|call| call, &Step::irreversible, "x.xxx"),
        ("idempotent", &Call::idempotent, &|step| step, ".x.xx"),
    ];
    for (item, of_call, of_step, expected) in table {
        let found = counted(of_call, of_step);
        assert_eq!(found, expected, "{item}: action, compensation, pivot, retriable, read_only");
    }
    // `errors: unknown` of the call overrides what the settings say.
    let step = |call: Call| Step::new("a", call).pivot();
    assert!(silent_errors_of_step("step", &step(tool()), |_| true).is_empty());
    let withdrawn = step(tool().errors(Errors::Unknown));
    assert_eq!(silent_errors_of_step("step", &withdrawn, |_| true)[0].path, "step.action");
}

#[test]
fn a_rule_counts_only_if_it_can_hold_for_an_error() {
    for (when, may_hold) in [
        ("outcome == 'errored'", true),
        ("'errored' == outcome && text != ''", true),
        ("outcome != 'succeeded'", true),
        ("outcome == 'failed'", false),
        ("\"succeeded\" == outcome", false),
        ("outcome != 'errored'", false),
        ("error == null", false),
        ("text == 'a' && (outcome == 'succeeded' && true)", false),
        ("(error == null) || (text.contains('x') && error != null)", true),
        ("error == null || outcome == 'succeeded'", false),
        ("(error == null || text == 'x') && outcome == 'succeeded'", false),
        ("text == \"a && outcome == 'succeeded'\"", true),
        ("error == null ? result.bad : true", true),
        ("[outcome == 'succeeded'].size() == 1", true),
        ("false", false),
    ] {
        let step = Step::new("a", rule(when, Verdict::Failed)(tool())).pivot();
        assert_eq!(silent_errors_of_step("step", &step, |_| false).is_empty(), may_hold, "{when}");
    }
}

#[test]
fn what_no_door_lets_through_can_be_built_all_the_same() {
    let found = Probe::new(Target::Handler { name: "find".into(), arguments: None }, "result.found");
    let accepts = handler().classify(Rule::new("result.queued", Verdict::Pending));
    let transactional = Call::handler("h").transactional();
    for (call, path) in [
        (accepts.clone().probe(found.clone()), "probe.absent"),
        (transactional.refused("result.no"), "refused"),
        (handler().errors(Errors::Definite), "errors"),
    ] {
        for (step, direction) in [
            (Step::new("a", call.clone()).irreversible(), "action"),
            (Step::new("a", handler()).compensation(call.clone()), "compensation"),
        ] {
            let faults = unsound_rules_of_step("step", &step);
            let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
            assert_eq!(paths, [format!("step.{direction}.{path}")]);
            assert!(Definition::build(Draft::new("d").step(step)).is_ok());
        }
    }
    let sound = Step::new("a", accepts.probe(found.absent("result.failed"))).irreversible();
    assert!(unsound_rules_of_step("step", &sound).is_empty());
}

/// Warns of a key for which no refusal answers, and of an absence that rests only on the status or on an error.
#[test]
fn rules_that_are_often_wrong_are_named() {
    let http = |path: &str| -> Call {
        let target = json!({ "http": { "participant": "p", "method": "POST", "path": path } });
        Call::new(serde_json::from_value(target).unwrap())
    };
    let advised = |call: Call| {
        let faults = doubtful_rules(&Draft::new("d").step(Step::new("a", call).irreversible()));
        faults.into_iter().map(|fault| fault.path).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    let declined = || Rule::new("status == 402", Verdict::Failed);
    assert_eq!(advised(http("/pay").idempotent()), ["steps[0].action"]);
    assert_eq!(advised(http("/pay").idempotent().classify(declined())), ["steps[0].action.classify[0]"]);
    assert_eq!(advised(http("/pay").idempotent().classify(declined().answers_key())), none);
    assert_eq!(advised(http("/pay")), none);
    for (absent, bare) in [
        ("status == 404", true),
        ("status in [404, 410]", true),
        ("!(status == 200) || status == 404", true),
        ("status == 404 || result.found == false", true),
        ("result.found == false || (result.n == 0 && true) || ( status==404 )", true),
        ("(status == 404 || result.found == false) && status != 500", true),
        ("status == 200 ? result.found == false : status == 404", true),
        ("status == 404 ? true : result.found == false", true),
        ("error.code == 'http_404'", true),
        ("error != null && error.code in ['http_404', \"http_410\"]", true),
        ("error.code.startsWith('http_4') || result.gone", true),
        ("error.code == 'tool_error'", true),
        ("error != null", true),
        ("outcome == 'failed'", true),
        ("outcome == 'failed' || outcome == 'errored'", true),
        ("outcome == 'succeeded' && result.found == false", false),
        ("status == 404 && result.code == 'none'", false),
        ("status >= 400 && (result.code == 'none' || status == 410)", true),
        ("(status == 404 || outcome == 'failed') && text.contains('no such || status == 404')", false),
        ("status == 200 ? result.found == false : false", false),
        ("error.code == 'no_such_booking'", false),
        ("error != null && text.contains('no such booking')", false),
        ("outcome == 'errored' && text == 'gone'", false),
        ("result.status == 404", false),
        ("result.found == false", false),
    ] {
        let probe = Probe::new(http("/find").target, "status == 200").absent(absent);
        let expected: &[&str] = if bare { &["steps[0].action.probe.absent"] } else { &[] };
        assert_eq!(advised(http("/pay").idempotent().probe(probe)), expected, "{absent}");
    }
}

/// Warns of a compensation that takes longer than the participant remembers the action's key.
#[test]
fn a_compensation_that_can_never_come_in_time_is_named() {
    let call = |timeout_ms| Call::handler("pay").timeout_ms(timeout_ms).settle_ms(500).idempotent();
    let advised = |lifetime_ms, compensation| {
        let action = call(1_000).key_lifetime_ms(lifetime_ms);
        let step = Step::new("a", action).compensation(compensation).safe_when_absent();
        let faults = doubtful_rules(&Draft::new("d").step(step));
        faults.into_iter().map(|fault| fault.path).filter(|path| path.ends_with("absent")).count()
    };
    assert_eq!((advised(3_001, call(2_000)), advised(3_000, call(2_000))), (0, 1));
}
