//! How a file becomes a draft: defaults by place, what a compensation inherits, and where the fields of a call go.

use serde_json::json;

use super::decode_shape;
use crate::saga::definition::{
    Action, Call, Draft, Effect, Expression, Kind, Probe, Retry, Rule, Step, Target, Template, Verdict,
};

fn steps(text: &str) -> Vec<Step> {
    decode_shape(&format!("saga: test\nsteps:\n{text}")).unwrap().steps
}

fn action(step: &Step) -> &Call {
    let Action::Call(call) = &step.action else { panic!("{step:?}") };
    call
}

fn tool(participant: &str, tool: &str, arguments: serde_json::Value) -> Target {
    Target::Tool { participant: participant.into(), tool: tool.into(), arguments: Template(arguments) }
}

#[test]
fn what_is_left_out_has_the_draft_s_own_defaults() {
    let draft = decode_shape("saga: test\nsteps: [{ step: a, action: { tool: p/t } }]").unwrap();
    let bare = json!({
        "name": "test",
        "steps": [{ "name": "a", "action": { "call": { "target": { "tool": { "participant": "p", "tool": "t" } } } } }],
    });
    assert_eq!(draft, serde_json::from_value::<Draft>(bare).unwrap());
    let probe = json!({ "target": { "handler": { "name": "h" } }, "applied": "true" });
    let with_probe = steps("- { step: a, action: { tool: p/t }, probe: { handler: h, applied: true } }");
    assert_eq!(action(&with_probe[0]).probe, Some(serde_json::from_value::<Probe>(probe).unwrap()));
}

#[test]
fn each_step_needs_the_one_before_unless_it_says() {
    let steps = steps(
        "- { step: a, action: { handler: h } }\n\
         - { step: b, action: { handler: h } }\n\
         - { step: c, needs: [], action: { handler: h } }\n\
         - { step: d, needs: [a, c], action: { handler: h } }\n\
         - { step: e, action: { handler: h } }\n",
    );
    let needs: Vec<_> = steps.iter().map(|step| step.needs.join(",")).collect();
    assert_eq!(needs, ["", "a", "", "a,c", "d"]);
}

#[test]
fn attempts_depend_on_the_place() {
    let steps = steps(
        "- { step: a, action: { handler: h }, compensation: { handler: h } }\n\
         - { step: b, action: { handler: h }, retry: { attempts: 2, backoff: 3s }, compensation: { handler: h } }\n\
         - { step: c, action: { handler: h }, retry: { attempts: 30 }, compensation: { handler: h } }\n\
         - { step: d, action: { handler: h }, compensation: { handler: h, retry: { attempts: 1 } } }\n\
         - { step: e, kind: pivot, action: { handler: h } }\n\
         - { step: f, kind: retriable, action: { handler: h }, probe: { handler: h, applied: true } }\n",
    );
    let attempts = |step: &Step| {
        (action(step).retry.attempts, step.compensation.as_ref().map(|compensation| compensation.retry.attempts))
    };
    let attempts: Vec<_> = steps.iter().map(attempts).collect();
    let expected = [(5, Some(10)), (2, Some(10)), (30, Some(30)), (5, Some(1)), (5, None), (20, None)];
    assert_eq!(attempts, expected);
    assert_eq!(steps[1].compensation.as_ref().map(|compensation| compensation.retry.backoff_ms), Some(3_000));
    assert_eq!(action(&steps[5]).probe.as_ref().map(|probe| probe.retry.attempts), Some(10));
}

#[test]
fn a_compensation_takes_over_what_it_does_not_say() {
    let steps = steps(
        "- step: a\n\
         \x20 effect: idempotent\n\
         \x20 key_lifetime: 1h\n\
         \x20 timeout: 2s\n\
         \x20 deadline: 1m\n\
         \x20 settle: 3s\n\
         \x20 success: true\n\
         \x20 output: 1\n\
         \x20 action: { tool: p/t }\n\
         \x20 compensation: { tool: p/u }\n\
         - step: b\n\
         \x20 effect: idempotent\n\
         \x20 key_lifetime: 1h\n\
         \x20 action: { tool: p/t }\n\
         \x20 compensation: { tool: p/u, effect: idempotent, timeout: 1s }\n",
    );
    let compensation = steps[0].compensation.as_ref().unwrap();
    assert_eq!(compensation.effect, Effect::Idempotent);
    assert_eq!((compensation.key_lifetime_ms, compensation.timeout_ms), (Some(3_600_000), 2_000));
    let not_taken = (compensation.deadline_ms, compensation.settle_ms, &compensation.success, &compensation.output);
    assert_eq!(not_taken, (None, 10_000, &None, &None));
    let says_itself = steps[1].compensation.as_ref().unwrap();
    assert_eq!((says_itself.key_lifetime_ms, says_itself.timeout_ms), (None, 1_000));
}

#[test]
fn every_field_finds_its_place() {
    let steps = steps(
        "- step: a\n\
         \x20 when: ${ input.x }\n\
         \x20 action: { tool: p/t/with/slashes, arguments: { n: '${ input.n }' } }\n\
         \x20 safe_when_absent: true\n\
         \x20 retry: { attempts: 7, backoff: 1s, multiplier: 3, backoff_max: 1h30m, jitter: 0 }\n\
         \x20 classify: [{ when: status == 404, outcome: succeeded, error: '${ text }' }]\n\
         \x20 probe: { http: h, path: '/x', query: { k: '${ key }' }, absent: true, settle: 4s,\n\
         \x20   applied: '${ status == 200 }' }\n\
         \x20 compensation: { http: h, method: DELETE, path: '/x', headers: { a: b }, body: { c: [null] } }\n\
         - { step: b, irreversible: true, action: { await: paid }, deadline: 7d }\n\
         - { step: c, action: { sleep: 1h30m } }\n",
    );
    let call = action(&steps[0]);
    assert_eq!(steps[0].when, Some("input.x".into()));
    assert_eq!(call.target, tool("p", "t/with/slashes", json!({ "n": "${ input.n }" })));
    let retry = Retry { attempts: 7, backoff_ms: 1_000, multiplier: 3.0, backoff_max_ms: 5_400_000, jitter: 0.0 };
    assert_eq!(call.retry, retry);
    let rule = Rule { error: Some("text".into()), ..Rule::new("status == 404", Verdict::Succeeded) };
    assert_eq!(call.classify, [rule]);
    assert_eq!(call.settle_ms, 4_000);
    let probe = call.probe.as_ref().unwrap();
    assert_eq!((&probe.applied, &probe.absent), (&"status == 200".into(), &Some(Expression("true".into()))));
    let method_of = |target: &Target| match target {
        Target::Http { method, .. } => method.clone(),
        Target::Tool { .. } | Target::Handler { .. } => String::new(),
    };
    assert_eq!(method_of(&probe.target), "GET");
    assert_eq!(method_of(&steps[0].compensation.as_ref().unwrap().target), "DELETE");
    assert_eq!((steps[0].safe_when_absent, steps[1].irreversible, steps[1].kind), (true, true, Kind::Compensable));
    let asked = self::steps(
        "- { step: a, deadline: 2h, action: { approval: { message: \"Pay ${ input.x }?\", arguments: { x: 1 } } } }",
    );
    let approval = Step::approval("a", "Pay ${ input.x }?", Some(json!({ "x": 1 })), Some(7_200_000));
    assert_eq!(asked, [approval]);
    let asked = self::steps("- { step: a, action: { approval: { message: \"Pay?\", approver: caller } } }");
    assert_eq!(asked, [Step::approval("a", "Pay?", None, None).approved_by_caller()]);
    assert_eq!(steps[1].action, Action::Await { event: "paid".into(), deadline_ms: Some(604_800_000) });
    assert_eq!(steps[2].action, Action::Sleep { for_ms: 5_400_000 });
}
