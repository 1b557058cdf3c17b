//! Rust handlers as the actors call them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amends::participant::{Failure, Handlers, Participants, StepContext};
use amends::saga::definition::{Call, Draft, Step};
use amends::step_transaction::Transaction;
use serde_json::{Value, json};

use super::{call, executed, probed, says};

fn with(handlers: Handlers) -> Participants {
    Participants::new(Vec::new(), handlers, &tokio::runtime::Handle::current()).unwrap()
}

fn handler(name: &str) -> Value {
    json!({"handler": {"name": name}})
}

#[tokio::test]
async fn handlers_run_within_their_time_and_their_limits() {
    let handlers = Handlers::new()
        .register("input", |_: StepContext, input: Value| async move { Ok::<_, Failure>(input) })
        .register("slow", |_: StepContext, _: Value| async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok::<_, Failure>(1)
        })
        .register("big", |_: StepContext, _: Value| async { Ok::<_, Failure>("x".repeat(2 << 20)) });
    let participants = with(handlers);
    assert_eq!(executed(&participants, &call(handler("input"), json!({}))).await, r#"succeeded {"id":"b 1"}"#);
    let target = json!({"handler": {"name": "input", "arguments": {"k": "${ key }", "n": ["${ attempt }"]}}});
    let line = executed(&participants, &call(target, json!({"output": "${ result.n[0] }"}))).await;
    assert_eq!(line, "succeeded 0");
    says(&executed(&participants, &call(handler("slow"), json!({"timeout_ms": 50}))).await, "unknown timeout", "");
    says(&executed(&participants, &call(handler("big"), json!({}))).await, "unknown answer_too_large", "1048576");
    says(&executed(&participants, &call(handler("none"), json!({}))).await, "retryable missing", "`none`");
}

#[tokio::test]
async fn a_bad_expression_fails_before_the_handler_is_called() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let participants = with(Handlers::new().register("count", |_: StepContext, _: Value| async {
        Ok::<_, Failure>(CALLS.fetch_add(1, Ordering::Relaxed))
    }));
    let target = json!({"handler": {"name": "count", "arguments": {"a": "${ input.nothing + 1 }"}}});
    says(&executed(&participants, &call(target, json!({}))).await, "failed expression: ", "`input.nothing + 1`");
    let target = json!({"handler": {"name": "count", "arguments": "${ 'x'"}});
    says(&executed(&participants, &call(target, json!({}))).await, "failed expression: ", "closing brace");
    assert_eq!(CALLS.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_probe_may_be_a_handler() {
    let participants = with(Handlers::new().register("find", |context: StepContext, _: Value| async move {
        Ok::<_, Failure>(json!({"found": context.key() == "saga/step/action/0"}))
    }));
    let probe = json!({"target": handler("find"), "applied": "result.found"});
    assert_eq!(probed(&participants, probe).await, r#"applied {"found":true}"#);
}

#[tokio::test]
async fn missing_participants_are_named() {
    let draft = serde_json::from_value(json!({
        "name": "d",
        "steps": [
            {"name": "a", "action": {"call": {"target": {"tool": {"participant": "crm", "tool": "t"}}}},
             "compensation": {"target": handler("undo")}},
            {"name": "b", "action": {"call": {
                "target": handler("do"), "probe": {"target": handler("find"), "applied": "true"}}}},
        ],
    }))
    .unwrap();
    let known = Handlers::new().register("do", |_: StepContext, _: Value| async { Ok::<_, Failure>(()) });
    let expected = ["handler \"find\"", "handler \"undo\"", "participant \"crm\""];
    assert_eq!(with(known).missing(&draft), expected);
}

/// A handler that works in the transaction of its record is another thing than one that does not.
#[tokio::test]
async fn a_call_finds_only_handlers_of_the_kind_that_its_effect_names() {
    let handlers = Handlers::new()
        .register("plain", |_: StepContext, _: Value| async { Ok::<_, Failure>(1) })
        .register_transactional("within", |_: StepContext, _: Transaction, _: Value| async { Ok::<_, Failure>(1) });
    let participants = with(handlers);
    let step = |name: &str, call: Call| Step::new(name, call).irreversible();
    let draft = Draft::new("d")
        .step(step("a", Call::handler("plain")))
        .step(step("b", Call::handler("within").transactional()))
        .step(step("c", Call::handler("plain").transactional()))
        .step(step("d", Call::handler("within")));
    assert_eq!(participants.missing(&draft), ["handler \"within\"", "transactional handler \"plain\""]);
}
