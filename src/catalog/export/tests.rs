//! Writes drafts of every shape and reads them again.

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

use super::*;
use crate::catalog::definition::decode_shape;
use crate::saga::definition::{Notice, OnDisconnect, Open, Quota, Refused, Rule};

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_]{0,12}"
}

fn ms() -> impl Strategy<Value = Millis> {
    prop_oneof![0..100_u64, 0..100_000_000_u64, select(&[1_000_u64, 60_000, 30_000, 86_400_000][..])]
}

fn words() -> impl Strategy<Value = String> {
    let tricky = [
        "",
        "yes",
        "null",
        "1",
        "1e3",
        "- a",
        "a: b",
        "#",
        "${ x }",
        "$${",
        "2026-11-22",
        "~",
        "<<",
        "'",
        "\"",
        "\\",
        "&a",
        "a\nb",
        "\t",
        " a ",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\u{1}",
        "💥",
        "!x",
        "%",
        "@",
        "`",
        "y",
        "0x1F",
        "a b",
        "key:",
        "|",
    ];
    prop_oneof![select(tricky.to_vec()).prop_map(str::to_owned), ".{0,12}", "[a-z/._-]{0,12}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e300..1e300_f64).prop_map(Value::from),
        (-10.0..10.0_f64).prop_map(Value::from),
        words().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            btree_map(words(), inner, 0..5).prop_map(|fields| Value::Object(
                fields.into_iter().filter(|(key, _)| key != "<<").collect::<Map<_, _>>()
            )),
        ]
    })
}

fn some_template() -> impl Strategy<Value = Template> {
    value().prop_filter("null is nothing", |value| !value.is_null()).prop_map(Template)
}

fn some_expression() -> impl Strategy<Value = Expression> {
    select(
        &["input.x", "result.found == true", "'a}b' in steps.c", "  true", "1 < 2 ? 'a: b' : \"#\"", "{'a': 1}.a"][..],
    )
    .prop_map(Expression::from)
}

fn target() -> impl Strategy<Value = Target> {
    let object = btree_map(words(), value(), 0..3)
        .prop_map(|fields| Template(Value::Object(fields.into_iter().filter(|(key, _)| key != "<<").collect())));
    let texts = || btree_map("[a-zA-Z-]{1,8}", words().prop_map(|text| Template(Value::from(text))), 0..3);
    prop_oneof![
        (name(), of(some_template())).prop_map(|(name, arguments)| Target::Handler { name, arguments }),
        (name(), "[a-z_/.]{1,12}", object).prop_map(|(participant, tool, arguments)| Target::Tool {
            participant,
            tool,
            arguments
        }),
        (name(), select(&["GET", "POST", "PUT"][..]), "/[a-z/${} ]{0,9}", texts(), texts(), of(some_template()))
            .prop_map(|(participant, method, path, query, headers, body)| Target::Http {
                participant,
                method: method.to_owned(),
                path: Template(Value::from(path)),
                query,
                headers,
                body,
            }),
    ]
}

fn some_retry() -> impl Strategy<Value = Retry> {
    let own = (1..1_000_u32, ms(), 1.0..100.0_f64, ms(), 0.0..=1.0_f64).prop_map(
        |(attempts, backoff_ms, multiplier, backoff_max_ms, jitter)| Retry {
            attempts,
            backoff_ms,
            multiplier,
            backoff_max_ms,
            jitter,
        },
    );
    prop_oneof![Just(Retry::default()), Just(defaults::probe_retry()), own]
}

fn some_probe() -> impl Strategy<Value = Probe> {
    (target(), some_expression(), of(some_expression()), of(some_template()), some_retry(), ms()).prop_map(
        |(target, applied, absent, output, retry, timeout_ms)| Probe {
            target,
            applied,
            absent,
            output,
            retry,
            timeout_ms,
        },
    )
}

fn call() -> impl Strategy<Value = Call> {
    let effect = select(&[Effect::ReadOnly, Effect::Idempotent, Effect::Once][..]);
    let verdict = select(
        &[
            Verdict::Succeeded,
            Verdict::Failed,
            Verdict::Retryable,
            Verdict::Pending,
            Verdict::Errored,
            Verdict::Unknown,
        ][..],
    );
    let marks = (any::<bool>(), of(Just(KeyRule::Renew)));
    let rule = (some_expression(), verdict, of(some_expression()), marks).prop_map(
        |(when, outcome, error, (answers_key, key))| {
            // The core refuses `answers_key` and `key` for other outcomes.
            let definite = matches!(outcome, Verdict::Failed | Verdict::Retryable);
            let (answers_key, key) = (answers_key && definite, key.filter(|_| outcome == Verdict::Retryable));
            Rule { when, outcome, error, answers_key, key }
        },
    );
    let refused = of((some_expression(), any::<bool>()).prop_map(|(when, answers_key)| Refused { when, answers_key }));
    let errors = of(select(&[Errors::Definite, Errors::Unknown][..]));
    let times = (of(ms()), ms(), of(ms()), ms());
    (
        target(),
        effect,
        some_retry(),
        times,
        of(some_probe()),
        (of(some_expression()), errors, refused),
        vec(rule, 0..3),
        of(some_template()),
    )
        .prop_map(|(target, effect, retry, times, probe, said, classify, output)| {
            let (key_lifetime_ms, timeout_ms, deadline_ms, settle_ms) = times;
            let (success, errors, refused) = said;
            Call {
                target,
                effect,
                key_lifetime_ms,
                retry,
                timeout_ms,
                deadline_ms,
                settle_ms,
                probe,
                errors,
                refused,
                success,
                classify,
                output,
            }
        })
}

fn some_approval() -> impl Strategy<Value = Action> {
    let approver = select(&[Approver::Operator, Approver::Caller][..]);
    (words(), of(some_template()), approver, of(ms())).prop_map(|(message, arguments, approver, deadline_ms)| {
        let message = Template(Value::from(format!("may it? {message}")));
        Action::Approval { message, arguments, approver, deadline_ms }
    })
}

fn some_step() -> impl Strategy<Value = Step> {
    let action = prop_oneof![
        4 => call().prop_map(Action::Call).boxed(),
        1 => (name(), of(ms())).prop_map(|(event, deadline_ms)| Action::Await { event, deadline_ms }),
        1 => ms().prop_map(|for_ms| Action::Sleep { for_ms }),
        1 => some_approval(),
    ]
    .boxed();
    let kind = select(&[Kind::Compensable, Kind::Pivot, Kind::Retriable][..]);
    let needs = proptest::collection::btree_set(name(), 0..3).prop_map(|names| names.into_iter().collect::<Vec<_>>());
    (name(), needs, kind, action, of(call()), any::<bool>(), any::<bool>(), of(some_expression())).prop_map(
        |(name, needs, kind, action, compensation, safe_when_absent, irreversible, when)| Step {
            name,
            needs,
            kind,
            action,
            compensation,
            safe_when_absent,
            irreversible,
            when,
        },
    )
}

fn notice() -> impl Strategy<Value = Notice> {
    (target(), ms(), of(some_expression())).prop_map(|(target, timeout_ms, success)| Notice {
        target,
        timeout_ms,
        success,
    })
}

fn some_draft() -> impl Strategy<Value = Draft> {
    let schema = prop_oneof![
        Just(Value::Bool(true)),
        Just(Value::Bool(false)),
        Just(serde_json::json!({"type": "object", "properties": {"on": {"enum": ["yes", 1, null]}}})),
    ];
    let open = of(ms().prop_map(|lease_ms| Open { lease_ms }));
    let head = (name(), words(), schema.clone(), of(schema), of(some_template()));
    let going = (select(vec![OnDisconnect::Continue, OnDisconnect::Abort]), open);
    let word = |words: Vec<&'static str>| of(prop_oneof![some_expression(), select(words).prop_map(Expression::from)]);
    let quota = of((1_u64..9, of(1_u64..9), any::<bool>()).prop_map(|(one, other, is_live)| match is_live {
        true => Quota { live: Some(one), bytes: other },
        false => Quota { live: other, bytes: Some(one) },
    }));
    let start = (of(some_expression()), word(vec!["high", "low"]), word(vec!["principal"]), quota);
    (head, vec(some_step(), 0..4), of(ms()), start, of(notice()), going).prop_map(
        |(head, steps, deadline_ms, (concurrency, priority, fairness, quota), told, (on_disconnect, open))| {
            let (name, description, input, output_schema, output) = head;
            Draft {
                name,
                description,
                input,
                output_schema,
                output,
                steps,
                deadline_ms,
                retention_ms: deadline_ms,
                concurrency,
                priority,
                fairness,
                quota,
                on_stuck: told.clone(),
                on_end: told,
                on_disconnect,
                open,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_the_same(draft in some_draft()) {
        let written = to_yaml(&draft);
        let read = decode_shape(&written);
        prop_assert_eq!(read.as_ref(), Ok(&draft), "\n{}", written);
    }
}

#[test]
fn writes_as_a_person_would() {
    let text = "saga: trip\n\
        steps:\n\
        \x20 - step: charge\n\
        \x20   action:\n\
        \x20     tool: payments/create_charge\n\
        \x20     arguments: { customer: \"${ input.guest }\", idempotency_key: \"${ key }\" }\n\
        \x20   effect: idempotent\n\
        \x20   key_lifetime: 1d\n\
        \x20   timeout: 5s\n\
        \x20   compensation:\n\
        \x20     tool: payments/refund_charge\n\
        \x20     arguments: { charge: \"${ output.id }\" }\n\
        \x20 - step: nap\n\
        \x20   action: { sleep: 1h30m }\n\
        \x20 - step: mail\n\
        \x20   needs: [charge]\n\
        \x20   kind: retriable\n\
        \x20   action: { handler: mail }\n";
    let draft = decode_shape(text).unwrap();
    assert_eq!(to_yaml(&draft), text);
}
