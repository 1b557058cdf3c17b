//! Notices: told at least once under one key, whatever happens to the receiver or to the node that tells, and no
//! saga waits for them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use amends::participant::{Failure, Handlers, ParticipantConfig, Secret, StepContext, Transport};
use amends::runtime::{Error, Runtime};
use amends::saga::definition::{Call, Draft, Notice, Step, Target, Template};
use amends::saga::event::{Finding, Request};
use amends::saga::state::Status;
use serde_json::{Value, json};

use crate::harness::{Database, eventually};
use crate::participant::wire::{Wire, answer};

/// What the receiver was told, and whether it takes anything now.
#[derive(Default)]
struct Receiver {
    told: Vec<Value>,
    refused: usize,
    deaf: bool,
    /// Takes the news, and then its answer is lost.
    forgetful: bool,
}

fn handlers(receiver: &Arc<Mutex<Receiver>>) -> Handlers {
    let receiver = receiver.clone();
    Handlers::new()
        .register("work", |_: StepContext, _: Value| async move { Ok::<_, Failure>(json!({ "done": true })) })
        .register("fail", |_: StepContext, _: Value| async move {
            Err::<Value, _>(Failure::permanent("declined", "no \u{0} funds"))
        })
        .register("vanish", |_: StepContext, _: Value| async move {
            Err::<Value, _>(Failure::unknown("lost", "nobody knows"))
        })
        .register("tell", move |_: StepContext, news: Value| {
            let mut receiver = receiver.lock().unwrap();
            let answer = if receiver.deaf {
                receiver.refused += 1;
                Err(Failure::permanent("closed", "nobody is here"))
            } else {
                receiver.told.push(news);
                if std::mem::take(&mut receiver.forgetful) {
                    Err(Failure::unknown("lost", "the answer was lost"))
                } else {
                    Ok(Value::Null)
                }
            };
            async move { answer }
        })
}

fn draft(name: &str, handler: &str) -> Draft {
    let told = Notice::handler("tell").timeout_ms(1_000);
    Draft::new(name)
        .on_end(told.clone())
        .on_stuck(told)
        .step(Step::new("one", Call::handler(handler)).compensation(Call::handler("work").idempotent()))
        .output(json!({ "came": "out" }))
}

async fn node(url: &str, receiver: &Arc<Mutex<Receiver>>) -> Runtime {
    Runtime::builder(url)
        .lease(Duration::from_secs(2))
        .handlers(handlers(receiver))
        .definition(draft("good", "work"))
        .definition(draft("bad", "fail"))
        .definition(draft("doubtful", "vanish"))
        .begin()
        .await
        .unwrap()
}

#[tokio::test]
async fn ends_and_halts_are_told_with_all_that_there_is_to_say() {
    let database = Database::create().await;
    let receiver = Arc::<Mutex<Receiver>>::default();
    let runtime = node(&database.url, &receiver).await;
    let good = runtime.start("good", &json!({ "guest": "ada" })).await.unwrap();
    let bad = runtime.start("bad", &json!(1)).await.unwrap();
    let doubtful = runtime.start("doubtful", &json!(2)).await.unwrap();
    eventually("three are told of", async || receiver.lock().unwrap().told.len() == 3).await;
    let told = |saga: uuid::Uuid| {
        let receiver = receiver.lock().unwrap();
        let of_saga = receiver.told.iter().filter(|news| news["saga"] == json!(saga));
        of_saga.cloned().collect::<Vec<_>>()
    };
    let expected = json!({
        "saga": good, "definition": "good", "status": "completed", "step": "", "reason": null,
        "input": { "guest": "ada" }, "output": { "came": "out" }, "key": format!("{good}-on_end-n2"),
    });
    assert_eq!(told(good), [expected]);
    let [news] = &told(bad)[..] else { panic!("{:?}", told(bad)) };
    assert_eq!((&news["status"], &news["step"]), (&json!("compensated"), &json!("one")));
    assert!(news["reason"].as_str().unwrap().contains("funds"), "{news}");
    let [news] = &told(doubtful)[..] else { panic!("{:?}", told(doubtful)) };
    assert_eq!((&news["status"], &news["step"], &news["output"]), (&json!("stuck"), &json!("one"), &json!(null)));
    assert!(news["reason"].as_str().unwrap().contains("in_doubt"), "{news}");
    assert!(news["key"].as_str().unwrap().contains("-on_stuck-n"), "{news}");
    let finding = Finding::Applied { output: json!(1).into() };
    let request = Request::Resolve { step: "one".into(), finding, attempts: None, reason: "looked".into() };
    runtime.signal(doubtful, request).await.unwrap();
    eventually("its end is told, too", async || told(doubtful).len() == 2).await;
    let client = database.client().await;
    eventually("the outbox is empty", async || {
        let sql = "select count(*) from amends.outbox";
        client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_receiver_that_is_away_is_told_later_and_no_saga_waits_for_it() {
    let database = Database::create().await;
    let receiver = Arc::<Mutex<Receiver>>::default();
    receiver.lock().unwrap().deaf = true;
    let runtime = node(&database.url, &receiver).await;
    let began = Instant::now();
    let mut sagas = Vec::new();
    for _ in 0..50 {
        sagas.push(runtime.start("good", &json!({})).await.unwrap());
    }
    for saga in &sagas {
        let ended = tokio::time::timeout(Duration::from_secs(10), runtime.wait(*saga)).await.unwrap();
        assert_eq!(ended.unwrap().status, Status::Completed);
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    eventually("each was tried and put off", async || {
        let pending = runtime.store().pending_events(sagas[0]).await.unwrap();
        pending.len() == 1 && pending[0].attempts >= 2
    })
    .await;
    let pending = runtime.store().pending_events(sagas[0]).await.unwrap();
    assert!(pending[0].error.as_ref().unwrap().contains("nobody is here"), "{pending:?}");
    let (events, age_ms) = runtime.store().outbox_depth().await.unwrap();
    assert!(events == 50 && age_ms > 0, "{events} {age_ms}");
    {
        let mut receiver = receiver.lock().unwrap();
        receiver.deaf = false;
        receiver.forgetful = true;
    }
    eventually("the outbox is empty", async || runtime.store().outbox_depth().await.unwrap().0 == 0).await;
    let receiver = receiver.lock().unwrap();
    let mut keys: Vec<&str> = receiver.told.iter().map(|news| news["key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), 51, "the one whose answer was lost was told again");
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 50, "under the same key");
}

/// A receiver that asks for a pause is not told earlier, whatever else its answer says.
#[tokio::test]
async fn a_receiver_is_told_again_when_the_pause_that_it_asks_for_is_over() {
    let database = Database::create().await;
    let wire = Wire::serve(|request| {
        let busy = request.starts_with("POST /busy");
        answer(if busy { "503 Busy" } else { "404 Not Yet" }, "Retry-After: 600\r\n", "")
    })
    .await;
    let transport = Transport::Http { url: Secret::plain(&wire.url), headers: Default::default() };
    let chat =
        ParticipantConfig { name: "chat".into(), transport, limits: Default::default(), answers: Default::default() };
    let to = |path: &str| {
        Notice::new(Target::Http {
            participant: "chat".into(),
            method: "POST".into(),
            path: Template(json!(path)),
            query: Default::default(),
            headers: Default::default(),
            body: None,
        })
    };
    let runtime = Runtime::builder(&database.url)
        .handlers(handlers(&Arc::default()))
        .participants([chat])
        .definition(draft("good", "work").on_end(to("/busy")))
        .definition(draft("doubtful", "vanish").on_stuck(to("/refused")))
        .begin()
        .await
        .unwrap();
    for (name, code) in [("good", "http_503"), ("doubtful", "http_404")] {
        let saga = runtime.start(name, &json!({})).await.unwrap();
        let pending = async || runtime.store().pending_events(saga).await.unwrap().pop();
        eventually("it was refused", async || pending().await.is_some_and(|event| event.error.is_some())).await;
        let event = pending().await.unwrap();
        assert!(event.error.as_ref().unwrap().contains(code), "{event:?}");
        assert!(event.due_at.unwrap() - event.at >= 600_000, "{event:?}");
    }
    assert_eq!(wire.count(), 2, "each was told once");
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn what_nobody_can_be_told_is_refused_when_the_definition_is_built() {
    let database = Database::create().await;
    let target = Target::Http {
        participant: "chat".into(),
        method: "FETCH".into(),
        path: Template(json!("/${ steps.one }/${ result }")),
        query: Default::default(),
        headers: Default::default(),
        body: None,
    };
    let draft = draft("wrong", "work").on_end(Notice::new(target).timeout_ms(100_000));
    let faults = match Runtime::builder(database.url.clone()).definition(draft).begin().await {
        Err(Error::Faults(faults)) => faults.join("\n"),
        other => panic!("{:?}", other.map(|_| ())),
    };
    for part in ["on_end.timeout_ms", "on_end.target.http.method", "variable `steps`", "variable `result`"] {
        assert!(faults.contains(part), "{part} is not in\n{faults}");
    }
}
