//! One saga is one trace, across nodes and through the calls of its steps; a small collector in this process hears of
//! it, and without one a caller's position is passed on as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use amends::participant::{Failure, Handlers, ParticipantConfig, Secret, StepContext, Transport};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Step};
use amends::saga::event::Request;
use amends::saga::state::Status;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::admin::{ask, psql, until};
use crate::cli::run;
use crate::harness::Database;
use crate::participant::wire::{Wire, answer};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn position(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

async fn served() -> Wire {
    Wire::serve(|_| answer("200 OK", "content-type: application/json\r\n", "{}")).await
}

/// One span as the collector has it.
#[derive(Debug)]
struct Span {
    node: String,
    trace: String,
    id: String,
    parent: String,
    name: String,
    failed: bool,
    seconds: f64,
}

fn spans(collector: &Wire) -> Vec<Span> {
    let mut spans = Vec::new();
    for request in collector.requests.lock().unwrap().iter() {
        assert!(request.starts_with("POST /v1/traces "), "{request}");
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
        for resource in body["resourceSpans"].as_array().unwrap() {
            let attributes = resource["resource"]["attributes"].as_array().unwrap();
            let of = |key: &str| {
                let found = attributes.iter().find(|one| one["key"] == key).unwrap();
                found["value"]["stringValue"].as_str().unwrap().to_owned()
            };
            assert_eq!(of("service.name"), "amends");
            let scopes = resource["scopeSpans"].as_array().unwrap();
            for span in scopes.iter().flat_map(|scope| scope["spans"].as_array().unwrap()) {
                let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
                let nanos = |key: &str| text(key).parse::<f64>().unwrap();
                spans.push(Span {
                    node: of("service.instance.id"),
                    trace: text("traceId"),
                    id: text("spanId"),
                    parent: text("parentSpanId"),
                    name: text("name"),
                    failed: span["status"]["code"] == 2,
                    seconds: (nanos("endTimeUnixNano") - nanos("startTimeUnixNano")) / 1e9,
                });
            }
        }
    }
    spans
}

fn only<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name}: {spans:#?}");
    found[0]
}

async fn node(database: &Database, name: &str, desk: &Wire, collector: Option<&Wire>) -> Runtime {
    let transport = Transport::Http { url: Secret::plain(&desk.url), headers: BTreeMap::new() };
    let desk =
        ParticipantConfig { name: "desk".into(), transport, limits: Default::default(), answers: Default::default() };
    let at_desk = |path: &str| -> Call {
        let target = json!({ "http": { "participant": "desk", "method": "POST", "path": path } });
        serde_json::from_value(json!({ "target": target, "effect": "idempotent" })).unwrap()
    };
    let draft = Draft::new("trip")
        .step(Step::new("book", at_desk("/book")).compensation(at_desk("/unbook")))
        .step(Step::awaiting("wait", "go", Some(3_600_000)).needs(["book"]))
        .step(Step::new("charge", Call::handler("charge")).compensation(at_desk("/refund")).needs(["wait"]));
    let handlers = Handlers::new().register("charge", |context: StepContext, _: Value| async move {
        let position = context.traceparent().unwrap_or("none").to_owned();
        Err::<Value, _>(Failure::permanent("declined", format!("hunter2 at {position}")))
    });
    let mut builder = Runtime::builder(database.url.clone())
        .name(name)
        .lease(Duration::from_secs(4))
        .participants([desk])
        .handlers(handlers)
        .definition(draft);
    if let Some(collector) = collector {
        builder = builder.traces(format!("{}/v1/traces", collector.url));
    }
    builder.begin().await.unwrap()
}

fn positions(desk: &Wire) -> Vec<(String, Option<String>)> {
    let requests = desk.requests.lock().unwrap();
    let read = |request: &String| {
        let path = request.split(' ').nth(1).unwrap().to_owned();
        let position = request.split("traceparent: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        (path, position.map(str::to_owned))
    };
    requests.iter().map(read).collect()
}

/// Takes a saga over two nodes to its end: the second goes on when the first is gone.
async fn travel(database: &Database, desk: &Wire, collector: Option<&Wire>, start: &str) -> Uuid {
    let one = node(database, "one", desk, collector).await;
    let saga: Uuid = ask(&database.url, start).await.parse().unwrap();
    until(
        &database.url,
        &format!("select state from amends.steps where saga = '{saga}' and step = 'wait'"),
        "awaiting",
    )
    .await;
    assert!(one.stop(Duration::from_secs(5)).await.unwrap());
    let two = node(database, "two", desk, collector).await;
    two.signal(saga, Request::Provide { event: "go".into(), payload: json!({ "word": "hunter2" }).into() })
        .await
        .unwrap();
    assert_eq!(two.wait(saga).await.unwrap().status, Status::Compensated);
    assert!(two.stop(Duration::from_secs(5)).await.unwrap());
    saga
}

#[tokio::test]
async fn one_saga_is_one_trace_across_nodes_and_through_its_calls() {
    let (database, desk, collector) = (Database::create().await, served().await, served().await);
    let start = format!("select amends.start('trip', '{{\"card\":\"hunter2\"}}', 'k', '{}')", position("01"));
    travel(&database, &desk, Some(&collector), &start).await;
    let all = spans(&collector);
    assert!(all.iter().any(|span| span.name == "commit batch" && span.trace != TRACE), "{all:#?}");
    let ours: Vec<Span> = all.into_iter().filter(|span| span.name != "commit batch").collect();
    assert!(ours.iter().all(|span| span.trace == TRACE), "{ours:#?}");

    let saga = only(&ours, "trip");
    assert_eq!((saga.parent.as_str(), saga.node.as_str()), (CALLER, "two"), "{saga:?}");
    let steps = ["book", "wait", "charge", "undo book"].map(|name| only(&ours, name));
    assert!(steps.iter().all(|step| step.parent == saga.id), "{ours:#?}");
    assert_eq!(steps.map(|step| step.failed), [false, false, true, false]);
    assert_eq!(steps.map(|step| step.node.as_str()), ["one", "two", "two", "two"]);
    assert!(steps[1].seconds <= saga.seconds && saga.seconds < 120.0, "{ours:#?}");
    let attempts: BTreeSet<(&str, &str)> =
        ours.iter().filter(|span| span.name == "attempt").map(|span| (&*span.parent, &*span.node)).collect();
    let expected = [steps[0], steps[2], steps[3]].map(|step| (&*step.id, &*step.node));
    assert_eq!(attempts, BTreeSet::from(expected), "{ours:#?}");

    // Who is called hangs under the attempt.
    let sent = positions(&desk);
    assert_eq!(sent.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["/book", "/unbook"]);
    for ((_, sent), step) in sent.iter().zip([steps[0], steps[3]]) {
        let attempt = ours.iter().find(|span| span.name == "attempt" && span.parent == step.id).unwrap();
        assert_eq!(sent.as_deref(), Some(&*format!("00-{TRACE}-{}-01", attempt.id)));
    }
    let told = collector.requests.lock().unwrap().concat();
    assert!(!told.contains("hunter2"), "no payload and no participant's word leaves");
}

#[tokio::test]
async fn a_saga_that_nobody_traces_has_a_trace_of_its_own() {
    let (database, desk, collector) = (Database::create().await, served().await, served().await);
    let saga = travel(&database, &desk, Some(&collector), "select amends.start('trip', '{}')").await;
    let all = spans(&collector);
    let own = only(&all, "trip");
    assert_eq!((own.trace.as_str(), own.parent.as_str()), (&*saga.simple().to_string(), ""));
    let of_it = all.iter().filter(|span| span.trace == own.trace).count();
    assert_eq!(of_it, 8, "the saga, four steps, three attempts: {all:#?}");
}

#[tokio::test]
async fn what_its_caller_does_not_record_is_not_told_but_sent_on() {
    let (database, desk, collector) = (Database::create().await, served().await, served().await);
    let start = format!("select amends.start('trip', '{{}}', null, '{}')", position("00"));
    travel(&database, &desk, Some(&collector), &start).await;
    assert!(spans(&collector).iter().all(|span| span.name == "commit batch"));
    assert!(positions(&desk).iter().all(|(_, sent)| *sent == Some(position("00"))), "{:?}", positions(&desk));
}

#[tokio::test]
async fn without_a_collector_a_position_is_sent_on_as_it_came() {
    let (database, desk) = (Database::create().await, served().await);
    let start = format!("select amends.start('trip', '{{}}', null, '{}')", position("01"));
    let saga = travel(&database, &desk, None, &start).await;
    assert_eq!(positions(&desk).len(), 2);
    assert!(positions(&desk).iter().all(|(_, sent)| *sent == Some(position("01"))), "{:?}", positions(&desk));
    let heard = format!("select error from amends.timeline where saga = '{saga}' and step = 'charge'");
    let error = ask(&database.url, &heard).await;
    assert!(error.contains(&position("01")), "a handler can send it on: {error}");

    desk.requests.lock().unwrap().clear();
    travel(&database, &desk, None, "select amends.start('trip', '{}')").await;
    assert!(positions(&desk).iter().all(|(_, sent)| sent.is_none()), "{:?}", positions(&desk));

    // In the terminal, and what is no position.
    let (code, id, errors) = run(&database, &["start", "trip", "--traceparent", &position("01")]).await;
    assert_eq!(code, 0, "{errors}");
    let kept = format!("select input from amends.start_queue where id = '{}'", id.trim());
    let input = format!("{{}},\"traceparent\":\"{}\",\"by\":\"postgres\",", position("01"));
    assert!(ask(&database.url, &kept).await.starts_with(&input), "the queue keeps the position, and who asks");
    let (code, _, said) = run(&database, &["start", "trip", "--traceparent", "00-1-2-3"]).await;
    assert_eq!(code, 2, "{said}");
    for odd in ["", "00-1-2-3", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "x\",\"a\":\""] {
        let said = psql(&database.url, &format!("select amends.start('trip', '{{}}', null, '{odd}')")).await;
        assert!(said.errors.contains("AM005"), "{odd}: {}", said.errors);
    }
}

#[tokio::test]
async fn a_collector_that_is_away_costs_spans_and_no_work() {
    let (database, desk) = (Database::create().await, served().await);
    let mut away = served().await;
    away.end().await;
    travel(&database, &desk, Some(&away), "select amends.start('trip', '{}')").await;
    assert_eq!(away.count(), 0);
}
