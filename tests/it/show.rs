//! What `amends show` names of each attempt of a saga that ran: the rule that decided, the status and the key. Stories
//! of journals that are written by hand are in `cli/show/tests.rs`.

use std::sync::Arc;
use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Probe, Retry, Step};
use amends::step_transaction::Transaction;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::admin::{ask, program, until};
use crate::harness::{Database, eventually};

fn call(handler: &str) -> Call {
    let retry = Retry { attempts: 9, backoff_ms: 5, multiplier: 1.0, backoff_max_ms: 5, jitter: 0.0 };
    Call::handler(handler).retry(retry).timeout_ms(20_000).settle_ms(0)
}

/// Handlers whose first call errs as their name says.
fn handlers(go: &Arc<Semaphore>) -> Handlers {
    let go = Arc::clone(go);
    Handlers::new()
        .register("waits", move |_: StepContext, _: Value| {
            let go = Arc::clone(&go);
            async move {
                go.acquire().await.unwrap().forget();
                Ok::<_, Failure>(json!("done"))
            }
        })
        .register("retryable", |context: StepContext, _: Value| async move {
            match context.attempt() {
                1 => Err(Failure::retryable("busy", "later")),
                _ => Ok(json!("done")),
            }
        })
        .register("doubtful", |context: StepContext, _: Value| async move {
            match context.attempt() {
                1 => Err(Failure::unknown("doubt", "who knows")),
                _ => Ok(json!("done")),
            }
        })
        .register("find", |_: StepContext, _: Value| async { Ok::<_, Failure>(json!({ "found": false })) })
        .register_transactional("within", |context: StepContext, _: Transaction, _: Value| async move {
            match context.attempt() {
                1 => panic!("the first time"),
                _ => Ok(json!("done")),
            }
        })
}

async fn begin(url: &str, draft: Draft, go: &Arc<Semaphore>) -> Runtime {
    Runtime::builder(url).handlers(handlers(go)).definition(draft).begin().await.unwrap()
}

/// What is shown for programs.
async fn shown(database: &Database, saga: Uuid) -> Value {
    let url = database.url.clone();
    let id = saga.to_string();
    let ran = tokio::task::spawn_blocking(move || program(&url, &["show", &id, "--json"]));
    let (code, said) = ran.await.unwrap();
    assert_eq!(code, 0, "{said}");
    serde_json::from_str(&said).unwrap()
}

/// The rules that decided in the order of the timeline: of attempts, or of probes.
fn rules(shown: &Value, kind: &str) -> Vec<String> {
    let entries = shown["timeline"].as_array().unwrap().iter();
    let of_kind = entries.filter(|entry| entry["event"].get(kind).is_some());
    of_kind.map(|entry| entry["decided_by"]["rule"].as_str().unwrap_or("none").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_and_each_probe_names_its_rule_and_its_key() {
    let (database, go) = (Database::create().await, Arc::new(Semaphore::new(0)));
    let probe = Probe::new(Call::handler("find").target, "result.found");
    let step = |name: &str, call: Call| Step::new(name, call).irreversible();
    let draft = Draft::new("shop")
        .step(step("a", call("retryable")))
        .step(step("b", call("doubtful").probe(probe)).needs(["a"]))
        .step(step("c", call("within").transactional()).needs(["b"]))
        .step(step("d", call("waits")).needs(["c"]));
    let runtime = begin(&database.url, draft, &go).await;
    let saga = runtime.start("shop", &json!({})).await.unwrap();
    let under_way =
        format!("select count(*) from amends.steps where saga = '{saga}' and step = 'c' and state = 'done'");
    until(&database.url, &under_way, "1").await;
    let key = format!("{saga}-d-a0");
    let mut said = Value::Null;
    eventually("the last call is under way", async || {
        said = shown(&database, saga).await;
        said["steps"][3]["key"] == key.as_str()
    })
    .await;
    let expected = ["handler_retryable", "handler", "handler_unknown", "handler", "panic", "handler"];
    assert_eq!(rules(&said, "attempt_ended"), expected);
    assert_eq!(rules(&said, "probe_answered"), ["not applied"]);
    let (_, text) = program(&database.url, &["show", &saga.to_string()]);
    assert!(text.contains(&key), "the key of a call that is under way is not in\n{text}");
    let sql = format!("select count(*) from amends.timeline where saga = '{saga}' and what like '%(by not applied)'");
    assert_eq!(ask(&database.url, &sql).await, "1");
    // A plain success costs its journal nothing.
    let sql = format!(
        "select count(*) from amends.journal where id = '{saga}' and body like '%succeeded%' and body like '%decided%'"
    );
    assert_eq!(ask(&database.url, &sql).await, "0");
    go.add_permits(1);
    runtime.wait(saga).await.unwrap();
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_the_node_gives_up_has_a_rule() {
    let (database, go) = (Database::create().await, Arc::new(Semaphore::new(0)));
    let draft = Draft::new("shop").step(Step::new("a", call("waits")).irreversible());
    let runtime = begin(&database.url, draft, &go).await;
    let saga = runtime.start("shop", &json!({})).await.unwrap();
    let begun = format!("select count(*) from amends.journal where id = '{saga}'");
    until(&database.url, &begun, "1").await;
    runtime.stop(Duration::from_millis(50)).await.unwrap();
    assert_eq!(rules(&shown(&database, saga).await, "attempt_ended"), ["call_lost"]);
}

/// The node's role may log in no more, so that no session is opened, while the connections of its pool and of the lane
/// that runs the saga live on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_cannot_be_begun_has_a_rule() {
    let (database, go) = (Database::create().await, Arc::new(Semaphore::new(0)));
    let client = database.client().await;
    let role = format!("guest_{}", Uuid::now_v7().simple());
    client.batch_execute(&format!("create role {role} superuser login")).await.unwrap();
    let url = database.url.replace("postgres://postgres@", &format!("postgres://{role}@"));
    let first = Step::new("first", call("waits").idempotent()).irreversible();
    let second = Step::new("a", call("within").transactional()).irreversible().needs(["first"]);
    let runtime = begin(&url, Draft::new("shop").step(first).step(second), &go).await;
    let saga = runtime.start("shop", &json!({})).await.unwrap();
    client.batch_execute(&format!("alter role {role} nologin")).await.unwrap();
    go.add_permits(1);
    let refused =
        format!("select count(*) > 0 from amends.timeline where saga = '{saga}' and what like '%(by no_transaction)'");
    until(&database.url, &refused, "t").await;
    client.batch_execute(&format!("alter role {role} login")).await.unwrap();
    runtime.wait(saga).await.unwrap();
    let rules = rules(&shown(&database, saga).await, "attempt_ended");
    assert_eq!(rules[1], "no_transaction", "{rules:?}");
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}
