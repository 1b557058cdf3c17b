//! Definitions that could not keep the promise are refused, with all faults at once. Also tests what a digest depends
//! on.

use serde_json::json;

use super::notation::Graph;
use crate::saga::definition::{
    ATTEMPTS_MAX, Action, Call, DURATION_MS_MAX, Draft, Effect, Expression, Kind, OnDisconnect, Rule, STEPS_MAX,
    Target, Template, Verdict,
};
use crate::saga::{Definition, Fault};

/// Spoils a valid draft and compares the faults, in order: `(path, part of the message)`.
#[track_caller]
fn check(graph: &str, spoil: impl FnOnce(&mut Draft), expected: &[(&str, &str)]) {
    let mut draft = Graph::parse(graph).draft();
    spoil(&mut draft);
    let faults = Definition::build(draft).err().unwrap_or_default();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let as_expected = faults.len() == expected.len()
        && faults.iter().zip(expected).all(|(fault, (path, part))| fault.path == *path && fault.message.contains(part));
    assert!(as_expected, "\n  {graph}\n  expected {expected:#?}\n  found    {told:#?}");
}

fn as_written(_: &mut Draft) {}

fn action(draft: &mut Draft, step: usize) -> &mut Call {
    match &mut draft.steps[step].action {
        Action::Call(call) => call,
        Action::Await { .. } | Action::Sleep { .. } | Action::Approval { .. } => {
            panic!("step {step} makes no call")
        }
    }
}

#[test]
fn what_is_transactional_is_a_handler_and_leaves_nothing_to_ask() {
    let rules = |draft: &mut Draft| {
        let call = action(draft, 0);
        call.success = Some("result.ok".into());
        call.target = Target::Tool { participant: "p".into(), tool: "t".into(), arguments: Template(json!({})) };
    };
    check("a(within)", as_written, &[]);
    check("a(within,~within) b!(within) c+(within)", as_written, &[]);
    check(
        "a(within)",
        rules,
        &[("steps[0].action.effect", "only a Rust handler"), ("steps[0].action.success", "decides by itself")],
    );
    let asks = |draft: &mut Draft| {
        let probe = action(draft, 1).probe.clone();
        action(draft, 0).probe = probe;
    };
    check("a(within) b(probe)", asks, &[("steps[0].action.probe", "nothing to ask")]);
}

#[test]
fn sound_definitions_are_accepted() {
    for graph in
        ["a", "b<a a", "a p! r+", "p! q! r+<p,q", "a(reads)", "a(await=go) b(sleep=9)", "a(approval)", "@open=1000"]
    {
        check(graph, as_written, &[]);
    }
    check("a(life=1501)", as_written, &[]);
    check("a(stays)", as_written, &[]);
    check("a(tries=1000)", as_written, &[]);
}

#[test]
fn names_are_plain_and_unique() {
    let rule = "lower case letters, digits and `_`, a letter first";
    check(
        "A 1b a-b é",
        as_written,
        &[("steps[0].name", rule), ("steps[1].name", rule), ("steps[2].name", rule), ("steps[3].name", rule)],
    );
    check("a", |draft| draft.name = "x".repeat(65), &[("name", rule)]);
    check("a", |draft| draft.name = String::new(), &[("name", rule)]);
    check("a b a", as_written, &[("steps[2].name", "taken by step 1")]);
    check("a(await=GO)", as_written, &[("steps[0].action.event", rule)]);
}

#[test]
fn needs_are_steps_of_the_saga_and_form_no_cycle() {
    check(
        "a<z b<a,a c<c",
        as_written,
        &[
            ("steps[0].needs[0]", "needs \"z\", which is no step"),
            ("steps[1].needs[1]", "needs \"a\" twice"),
            ("steps[2].needs[0]", "needs itself"),
        ],
    );
    check("a<c b<a c<b d<c", as_written, &[("steps", "needs of a, b, c form a cycle")]);
}

#[test]
fn the_point_of_no_return_is_one_on_a_path_and_nothing_compensable_comes_after_it() {
    check("p! a<p", as_written, &[("steps[1].kind", "comes after \"p\", the point of no return")]);
    check("r+ a<r", as_written, &[("steps[1].kind", "comes after \"r\"")]);
    check("p! q!<p", as_written, &[("steps[1].kind", "pivots on one path")]);
    check(
        "p! m+<p q!<m",
        as_written,
        &[("steps[2].kind", "pivots on one path"), ("steps[2].kind", "retriable steps come after every pivot")],
    );
}

#[test]
fn an_effect_can_be_undone_or_is_declared_to_stay() {
    let bare = |draft: &mut Draft| draft.steps[0].compensation = None;
    check("a", bare, &[("steps[0]", "has an effect and nothing undoes it")]);
    check("a(once)", bare, &[("steps[0]", "has an effect and nothing undoes it")]);
    check("a(reads)", bare, &[]);
    let undo = |draft: &mut Draft| {
        let call = action(draft, 1).clone();
        draft.steps[0].compensation = Some(call);
    };
    check("a(reads) b", undo, &[("steps[0].compensation", "nothing to compensate")]);
    check("a(sleep=9) b", undo, &[("steps[0].compensation", "nothing to compensate")]);
    check("a! b", undo, &[("steps[0].compensation", "never compensated")]);
    check("a(stays) b", undo, &[("steps[0].irreversible", "not irreversible; choose one")]);
    check("a!", |draft| draft.steps[0].irreversible = true, &[("steps[0].irreversible", "already")]);
    check("a(reads,safe)", as_written, &[("steps[0].safe_when_absent", "there is none")]);
    let reads = |draft: &mut Draft| {
        draft.steps[0].compensation.as_mut().unwrap().effect = Effect::ReadOnly;
    };
    check("a", reads, &[("steps[0].compensation.effect", "not read_only")]);
}

#[test]
fn limits_are_within_bounds() {
    let long = DURATION_MS_MAX + 1;
    check(
        "a",
        |draft| {
            draft.deadline_ms = Some(0);
            let call = action(draft, 0);
            (call.timeout_ms, call.settle_ms, call.deadline_ms) = (0, long, Some(0));
            (call.retry.attempts, call.retry.multiplier, call.retry.jitter) = (0, 0.5, 1.5);
            (call.retry.backoff_ms, call.retry.backoff_max_ms) = (long, long);
        },
        &[
            ("deadline_ms", "1 to"),
            ("steps[0].action.timeout_ms", "1 to"),
            ("steps[0].action.deadline_ms", "1 to"),
            ("steps[0].action.settle_ms", "0 to"),
            ("steps[0].action.retry.attempts", "1 to 1000, found 0"),
            ("steps[0].action.retry.backoff_ms", "0 to"),
            ("steps[0].action.retry.backoff_max_ms", "0 to"),
            ("steps[0].action.retry.multiplier", "1 to 100, found 0.5"),
            ("steps[0].action.retry.jitter", "0 to 1, found 1.5"),
        ],
    );
    let nan = |draft: &mut Draft| action(draft, 0).retry.multiplier = f64::NAN;
    check("a", nan, &[("steps[0].action.retry.multiplier", "found NaN")]);
    let eager = |draft: &mut Draft| action(draft, 0).retry.attempts = ATTEMPTS_MAX + 1;
    check("a", eager, &[("steps[0].action.retry.attempts", "found 1001")]);
    let leaving = |draft: &mut Draft| draft.on_disconnect = OnDisconnect::Abort;
    check("@open=1000", leaving, &[("on_disconnect", "an open saga cannot be called")]);
    check("a(approval,limit=0)", as_written, &[("steps[0].action.deadline_ms", "1 to")]);
    check("a!(approval)", as_written, &[("steps[0].kind", "before the point of no return")]);
    check("@open=999", as_written, &[("open.lease_ms", "1000 to")]);
    check("", as_written, &[("steps", "at least one step unless it is open")]);
    check("a(sleep=0)", as_written, &[("steps[0].action.for_ms", "1 to")]);
    check("a(await=go,limit=0)", as_written, &[("steps[0].action.deadline_ms", "1 to")]);
    let names: Vec<String> = (0..=STEPS_MAX).map(|number| format!("s{number}")).collect();
    check(&names.join(" "), as_written, &[("steps", "at most 256 steps, found 257")]);
}

#[test]
fn a_key_lives_longer_than_an_attempt_can_take_to_land() {
    check("a(life=1500)", as_written, &[("steps[0].action.key_lifetime_ms", "as late as 1500 ms")]);
    check("a(life=999,settle=0)", as_written, &[("steps[0].action.key_lifetime_ms", "as late as 1000 ms")]);
    check("a(once,life=9000)", as_written, &[("steps[0].action.key_lifetime_ms", "only an idempotent call")]);
}

#[test]
fn expressions_are_not_empty() {
    check(
        "a(probe,when)",
        |draft| {
            draft.steps[0].when = Some(Expression::from(" "));
            let call = action(draft, 0);
            call.success = Some(Expression::from(""));
            let rule = |text: &str| Rule::new(text, Verdict::Failed);
            call.classify = vec![rule("status == 404"), rule("")];
            let probe = call.probe.as_mut().unwrap();
            (probe.applied, probe.absent) = (Expression::from(""), Some(Expression::from("")));
        },
        &[
            ("steps[0].when", "found nothing"),
            ("steps[0].action.success", "found nothing"),
            ("steps[0].action.classify[1].when", "found nothing"),
            ("steps[0].action.probe.applied", "found nothing"),
            ("steps[0].action.probe.absent", "found nothing"),
        ],
    );
}

#[test]
fn nobody_else_waits_for_the_event_of_a_pending_step() {
    check("a b(await=a)", as_written, &[("steps[1].action.event", "rename one")]);
    check("a(probe) b(await=a)", as_written, &[]);
    check("a(await=a)", as_written, &[]);
}

#[test]
fn every_fault_is_named_at_once() {
    check(
        "@deadline=0 A<z p! b<p b(tries=0)",
        |draft| draft.steps[0].compensation = None,
        &[
            ("deadline_ms", "1 to"),
            ("steps[3].name", "taken by step 3"),
            ("steps[0].name", "lower case"),
            ("steps[0]", "nothing undoes it"),
            ("steps[0].needs[0]", "no step of this saga"),
            ("steps[3].action.retry.attempts", "found 0"),
            ("steps[2].kind", "point of no return"),
        ],
    );
}

#[test]
fn a_fault_reads_as_a_sentence_with_its_place() {
    let fault = Fault { path: "steps[1].needs[0]".to_owned(), message: "no such step".to_owned() };
    assert_eq!(fault.to_string(), "steps[1].needs[0]: no such step");
}

#[test]
fn equal_drafts_have_equal_digests_and_others_do_not() {
    let digest = |draft: Draft| Definition::build(draft).unwrap().digest().to_owned();
    let draft = || Graph::parse("a b<a").draft();
    assert_eq!(digest(draft()), digest(draft()));
    assert_eq!(digest(draft()).len(), 64);
    let mut other = draft();
    other.steps[1].kind = Kind::Pivot;
    other.steps[1].compensation = None;
    assert_ne!(digest(draft()), digest(other));
    // Keys of a template keep their author's order in memory, but not in a `jsonb` column.
    let with = |text: &str| {
        let mut draft = draft();
        let arguments = Some(Template(serde_json::from_str(text).unwrap()));
        action(&mut draft, 0).target = Target::Handler { name: "pay".to_owned(), arguments };
        draft
    };
    let (one, two) = (r#"{"x": {"b": 1, "a": [2]}, "y": 3}"#, r#"{"y": 3, "x": {"a": [2], "b": 1}}"#);
    assert_eq!(digest(with(one)), digest(with(two)));
    assert_ne!(digest(with(one)), digest(with(r#"{"x": {"b": 1, "a": [3]}, "y": 3}"#)));
    // A round trip through JSON gives the same definition. A template that is null differs from a missing one.
    let null = || with("null").output(json!(null));
    for draft in [with(one), null()] {
        let text = serde_json::to_string(&draft).unwrap();
        let again: Draft = serde_json::from_str(&text).unwrap();
        assert_eq!(again.output, draft.output);
        assert_eq!(digest(again), digest(draft));
    }
    assert_ne!(digest(null()), digest(with("null")));
}

#[test]
fn a_draft_takes_no_unknown_fields_and_fills_in_defaults() {
    let minimal = json!({"name": "x", "steps": [
        {"name": "a", "kind": "pivot", "action": {"call": {"target": {"handler": {"name": "pay"}}}}}
    ]});
    let draft: Draft = serde_json::from_value(minimal.clone()).unwrap();
    let mut spoiled = minimal;
    spoiled["steps"][0]["acton"] = json!(1);
    assert!(serde_json::from_value::<Draft>(spoiled).unwrap_err().to_string().contains("acton"));
    let definition = Definition::build(draft).unwrap();
    let Action::Call(call) = &definition.steps()[0].step.action else { panic!("a call") };
    assert_eq!((call.effect, call.timeout_ms, call.settle_ms), (Effect::Once, 30_000, 10_000));
    assert_eq!((call.retry.attempts, call.retry.backoff_ms, call.retry.jitter), (5, 500, 0.5));
}
