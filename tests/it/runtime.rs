//! The runtime as a program embeds it: Rust handlers, real Postgres, one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amends::client::Error;
use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Retry, Step};
use amends::saga::event::Request;
use amends::saga::state::Status;
use serde_json::{Value, json};

use crate::harness::Database;

fn fast() -> Retry {
    Retry { attempts: 3, backoff_ms: 1, multiplier: 1.0, backoff_max_ms: 5, jitter: 0.5 }
}

/// Counts calls by handler: `a` and `b` succeed, `undo_a` and `undo_b` undo, `fails` never succeeds, `flaky`
/// the third time.
fn handlers(calls: &Arc<[AtomicUsize; 6]>) -> Handlers {
    let count = |index: usize| {
        let calls = calls.clone();
        move || calls[index].fetch_add(1, Ordering::SeqCst) + 1
    };
    let (a, b, undo_a, undo_b, fails, flaky) = (count(0), count(1), count(2), count(3), count(4), count(5));
    Handlers::new()
        .register("a", move |context: StepContext, input: Value| {
            let n = a();
            async move { Ok::<_, Failure>(json!({ "n": n, "key": context.key(), "saw": input })) }
        })
        .register("b", move |_: StepContext, _: Value| {
            let n = b();
            async move { Ok::<_, Failure>(json!({ "n": n })) }
        })
        .register("undo_a", move |context: StepContext, _: Value| {
            undo_a();
            async move {
                // Who undoes by key needs the key that the action had.
                match context.output::<Value>()? {
                    Some(done) if done["key"] != json!(context.action_key()) => {
                        Err(Failure::permanent("key", format!("not {:?}", context.action_key())))
                    }
                    Some(_) | None => Ok::<_, Failure>(json!(null)),
                }
            }
        })
        .register("undo_b", move |_: StepContext, _: Value| {
            undo_b();
            async move { Ok::<_, Failure>(json!(null)) }
        })
        .register("fails", move |_: StepContext, _: Value| {
            fails();
            async move { Err::<Value, _>(Failure::permanent("declined", "no")) }
        })
        .register("flaky", move |_: StepContext, _: Value| {
            let n = flaky();
            async move { if n < 3 { Err(Failure::retryable("busy", "later")) } else { Ok(json!({ "n": n })) } }
        })
        .register("panics", move |_: StepContext, _: Value| async move {
            if true {
                panic!("on purpose");
            }
            Ok::<_, Failure>(json!(null))
        })
}

fn step(action: &str, undo: &str) -> Step {
    Step::new(action, Call::handler(action).idempotent().retry(fast()))
        .compensation(Call::handler(undo).idempotent().retry(fast()))
}

async fn begin(database: &Database, calls: &Arc<[AtomicUsize; 6]>, drafts: Vec<Draft>) -> Runtime {
    let mut builder = Runtime::builder(database.url.clone()).handlers(handlers(calls));
    for draft in drafts {
        builder = builder.definition(draft);
    }
    builder.begin().await.expect("a node begins")
}

#[tokio::test]
async fn a_saga_completes_and_says_what_came_out() {
    let database = Database::create().await;
    let calls = Arc::new(<[AtomicUsize; 6]>::default());
    let draft = Draft::new("happy")
        .input(json!({ "type": "object", "required": ["guest"] }))
        .step(step("a", "undo_a"))
        .step(step("b", "undo_b").needs(["a"]))
        .step(step("flaky", "undo_b").needs(["b"]))
        .output(json!({ "a": "${ steps.a.n }", "guest": "${ input.guest }" }));
    let runtime = begin(&database, &calls, vec![draft]).await;
    let ended = runtime.run("happy", &json!({ "guest": "ada" })).await.expect("it ends");
    assert_eq!(ended.status, Status::Completed);
    assert_eq!(ended.result.to_value(), json!({ "a": 1, "guest": "ada" }));
    assert_eq!(calls[5].load(Ordering::SeqCst), 3, "two retries");

    let refused = runtime.start("happy", &json!({ "host": "ada" })).await;
    assert!(matches!(refused, Err(Error::Input(faults)) if faults[0].contains("guest")));
    assert!(runtime.stop(Duration::from_secs(5)).await.expect("it stops"));
}

#[tokio::test]
async fn a_saga_that_fails_undoes_what_it_did_in_reverse() {
    let database = Database::create().await;
    let calls = Arc::new(<[AtomicUsize; 6]>::default());
    let draft = Draft::new("sad")
        .step(step("a", "undo_a"))
        .step(step("b", "undo_b").needs(["a"]))
        .step(step("fails", "undo_b").needs(["b"]));
    let runtime = begin(&database, &calls, vec![draft]).await;
    let ended = runtime.run("sad", &json!({})).await.expect("it ends");
    assert_eq!(ended.status, Status::Compensated);
    let counts: Vec<usize> = calls.iter().map(|calls| calls.load(Ordering::SeqCst)).collect();
    assert_eq!(counts, [1, 1, 1, 1, 1, 0], "each once: a, b, undo a, undo b, the failure");
    assert!(ended.result.get().contains("declined"), "{:?}", ended.result);
    runtime.stop(Duration::from_secs(5)).await.expect("it stops");
}

#[tokio::test]
async fn a_panic_in_a_step_is_an_unknown_outcome_and_an_operator_resolves_it() {
    let database = Database::create().await;
    let calls = Arc::new(<[AtomicUsize; 6]>::default());
    let draft = Draft::new("panicky")
        .step(Step::new("boom", Call::handler("panics")).compensation(Call::handler("undo_a").idempotent()));
    let runtime = begin(&database, &calls, vec![draft]).await;
    let saga = runtime.start("panicky", &json!({})).await.expect("it starts");
    let store = runtime.store().clone();
    crate::harness::eventually("the saga is stuck", || {
        let store = store.clone();
        async move { store.saga(saga).await.expect("a row").is_some_and(|row| row.status == Status::Stuck) }
    })
    .await;
    let finding = amends::saga::event::Finding::Absent;
    let request = Request::Resolve { step: "boom".into(), finding, attempts: None, reason: "looked it up".into() };
    runtime.signal(saga, request).await.expect("a signal");
    // It is known to be absent now, so it is tried again under a new key, until it is stuck or its attempts
    // are spent.
    let cancel = Request::Cancel { reason: "enough".into() };
    runtime.signal(saga, cancel).await.expect("a signal");
    let finding = amends::saga::event::Finding::Absent;
    let request = Request::Resolve { step: "boom".into(), finding, attempts: None, reason: "looked again".into() };
    crate::harness::eventually("it ends", || {
        let (runtime, request, store) = (runtime.clone(), request.clone(), store.clone());
        async move {
            // Refused while the step is not in doubt, and unknown once the saga has ended.
            let _ = runtime.signal(saga, request).await;
            store.result(saga).await.expect("a result").is_some()
        }
    })
    .await;
    let ended = runtime.wait(saga).await.expect("it ends");
    assert_eq!(ended.status, Status::Compensated);
    assert_eq!(calls[2].load(Ordering::SeqCst), 0, "what is known to be absent is not compensated");
    runtime.stop(Duration::from_secs(5)).await.expect("it stops");
}

#[tokio::test]
async fn the_same_key_starts_one_saga() {
    let database = Database::create().await;
    let calls = Arc::new(<[AtomicUsize; 6]>::default());
    let runtime = begin(&database, &calls, vec![Draft::new("once").step(step("a", "undo_a"))]).await;
    let first = runtime.start_once("once", &json!({ "x": 1, "y": 2 }), "k").await.expect("it starts");
    let again = runtime.start_once("once", &json!({ "y": 2, "x": 1 }), "k").await.expect("the same");
    assert_eq!(first, again);
    let other = runtime.start_once("once", &json!({ "x": 2 }), "k").await;
    assert!(matches!(&other, Err(Error::KeyConflict(message)) if message.contains(&first.to_string())), "{other:?}");
    runtime.wait(first).await.expect("it ends");
    assert_eq!(calls[0].load(Ordering::SeqCst), 1);
    runtime.stop(Duration::from_secs(5)).await.expect("it stops");
}

#[tokio::test]
async fn sagas_started_by_sql_are_taken_by_a_node() {
    let database = Database::create().await;
    let calls = Arc::new(<[AtomicUsize; 6]>::default());
    let draft = Draft::new("queued").input(json!({ "type": "object" })).step(step("a", "undo_a"));
    let runtime = begin(&database, &calls, vec![draft]).await;
    let store = runtime.store();
    let good = store.start("queued", &json!({ "x": 1 }).into(), None).await.expect("it starts");
    let bad = store.start("queued", &json!([]).into(), None).await.expect("it is queued");
    assert_eq!(runtime.wait(good).await.expect("it ends").status, Status::Completed);
    assert_eq!(runtime.wait(bad).await.expect("it ends").status, Status::Compensated);
    assert_eq!(calls[0].load(Ordering::SeqCst), 1, "nothing is called with an input that does not fit");
    runtime.stop(Duration::from_secs(5)).await.expect("it stops");
}

#[tokio::test]
async fn a_saga_that_waits_long_is_parked_and_woken() {
    let database = Database::create().await;
    let calls = Arc::new(<[AtomicUsize; 6]>::default());
    let draft = Draft::new("patient")
        .step(Step::awaiting("approval", "approved", Some(3_600_000)))
        .step(step("a", "undo_a").needs(["approval"]));
    let runtime = begin(&database, &calls, vec![draft]).await;
    let saga = runtime.start("patient", &json!({})).await.expect("it starts");
    let store = runtime.store().clone();
    crate::harness::eventually("the saga is parked", || {
        let store = store.clone();
        async move {
            store
                .saga(saga)
                .await
                .expect("a row")
                .is_some_and(|row| row.lane.is_none() && row.wake_at.is_some())
        }
    })
    .await;
    let provide = Request::Provide { event: "approved".into(), payload: json!({ "by": "ada" }).into() };
    runtime.signal(saga, provide).await.expect("a signal");
    assert_eq!(runtime.wait(saga).await.expect("it ends").status, Status::Completed);
    runtime.stop(Duration::from_secs(5)).await.expect("it stops");
}

#[tokio::test]
async fn a_saga_whose_journal_cannot_be_read_is_stuck_with_the_reason_and_comes_back_when_it_can_be() {
    let database = Database::create().await;
    let calls = Arc::new(<[AtomicUsize; 6]>::default());
    let draft = Draft::new("patient")
        .step(Step::awaiting("approval", "approved", Some(3_600_000)))
        .step(step("a", "undo_a").needs(["approval"]));
    let runtime = begin(&database, &calls, vec![draft]).await;
    let store = runtime.store().clone();
    let client = database.client().await;
    let row = |saga| {
        let store = store.clone();
        async move { store.saga(saga).await.expect("an answer").expect("a row") }
    };
    let saga = runtime.start("patient", &json!({})).await.expect("it starts");
    let healthy = runtime.start("patient", &json!({})).await.expect("it starts");
    let parked = || async { row(saga).await.lane.is_none() && row(healthy).await.lane.is_none() };
    crate::harness::eventually("both are parked", parked).await;

    // A newer version wrote something that this one does not know.
    let damage = "insert into amends.journal (id, seq, lane, at, kind, body) \
        select id, 2, 0, now(), 'levitated', '{\"levitated\":{\"at\":1}}' from amends.saga where id = $1";
    client.execute(damage, &[&saga]).await.expect("a row");
    let provide = || Request::Provide { event: "approved".into(), payload: json!(null).into() };
    runtime.signal(saga, provide()).await.expect("a signal");
    let aside = || async { store.unreadable(saga).await.expect("an answer").is_some() };
    crate::harness::eventually("it is set aside", aside).await;
    let reason = store.unreadable(saga).await.expect("an answer").expect("a row").reason;
    assert!(reason.contains("row 2 (levitated)"), "{reason}");
    let halted = row(saga).await;
    assert!(halted.status == Status::Stuck && halted.lane.is_none() && halted.wake_at.is_some(), "{halted:?}");

    // The node lives.
    runtime.signal(healthy, provide()).await.expect("a signal");
    assert_eq!(runtime.wait(healthy).await.expect("it ends").status, Status::Completed);

    // A node that can read it takes it up again, here because the row is mended.
    client.execute("delete from amends.journal where id = $1 and seq = 2", &[&saga]).await.expect("mended");
    let nudge = Request::Resume { reason: "the row is mended".into() };
    runtime.signal(saga, nudge).await.expect("a signal");
    assert_eq!(runtime.wait(saga).await.expect("it ends").status, Status::Completed);
    assert_eq!(store.unreadable(saga).await.expect("an answer"), None);
    runtime.stop(Duration::from_secs(5)).await.expect("it stops");
}
