//! Concurrency keys as users meet them: several nodes, starts through every door, cancellation before the turn, and
//! the death of a node that holds one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::Bucket;
use amends::saga::definition::{Call, Draft, Retry, Step};
use amends::saga::event::Request;
use amends::saga::state::Status;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Database, cluster, eventually};
use crate::proxy::{Fault, Proxy};

/// Which saga works for a guest now, and which sagas ever did something.
#[derive(Default)]
struct Desk {
    busy: HashMap<String, Uuid>,
    overlaps: Vec<String>,
    acted: Vec<Uuid>,
}

fn handlers(desk: &Arc<Mutex<Desk>>, pause: Duration) -> Handlers {
    let desk = desk.clone();
    let undo = |_: StepContext, _: Value| async move { Ok::<_, Failure>(Value::Null) };
    Handlers::new().register("undo", undo).register("work", move |context: StepContext, input: Value| {
        let desk = desk.clone();
        async move {
            let (saga, guest) = (context.saga(), input["guest"].to_string());
            {
                let mut desk = desk.lock().unwrap();
                desk.acted.push(saga);
                let before = desk.busy.insert(guest.clone(), saga);
                if let Some(other) = before.filter(|other| *other != saga && input["guest"] != json!(null)) {
                    desk.overlaps.push(format!("{other} and {saga} for {guest}"));
                }
            }
            tokio::time::sleep(pause).await;
            let mut desk = desk.lock().unwrap();
            if desk.busy.get(&guest) == Some(&saga) {
                desk.busy.remove(&guest);
            }
            Ok::<_, Failure>(Value::Null)
        }
    })
}

fn draft() -> Draft {
    let retry = Retry { attempts: 8, backoff_ms: 5, multiplier: 2.0, backoff_max_ms: 100, jitter: 0.5 };
    let call = |handler: &str| Call::handler(handler).idempotent().retry(retry.clone());
    let step = |name: &str| Step::new(name, call("work")).compensation(call("undo"));
    Draft::new("visit").concurrency("input.guest").step(step("first")).step(step("second").needs(["first"]))
}

async fn node(url: &str, name: &str, desk: &Arc<Mutex<Desk>>, pause: Duration) -> Runtime {
    let builder = Runtime::builder(url).name(name).lease(Duration::from_secs(2));
    builder.handlers(handlers(desk, pause)).definition(draft()).begin().await.unwrap()
}

async fn end_of(runtime: &Runtime, saga: Uuid) -> Status {
    let ended = tokio::time::timeout(Duration::from_secs(40), runtime.wait(saga)).await;
    ended.expect("it ends in time").unwrap().status
}

async fn all_completed(runtime: &Runtime, sagas: &[Uuid], desk: &Arc<Mutex<Desk>>) {
    for saga in sagas {
        assert_eq!(end_of(runtime, *saga).await, Status::Completed);
    }
    assert_eq!(desk.lock().unwrap().overlaps, [] as [String; 0]);
}

#[tokio::test]
async fn sagas_of_one_guest_run_one_at_a_time_on_two_nodes_through_every_door() {
    let database = Database::create().await;
    let desk = Arc::<Mutex<Desk>>::default();
    let pause = Duration::from_millis(3);
    let first = node(&database.url, "first", &desk, pause).await;
    let second = node(&database.url, "second", &desk, pause).await;
    let client = database.client().await;
    let mut sagas = Vec::new();
    for n in 0..15 {
        let input = json!({ "guest": format!("guest {}", n % 3) });
        sagas.push(first.start("visit", &input).await.unwrap());
        let once = second.start_once("visit", &input, &format!("key {n}")).await.unwrap();
        assert_eq!(first.start_once("visit", &input, &format!("key {n}")).await.unwrap(), once);
        sagas.push(once);
        let sql = "select amends.start('visit', $1::text::json)";
        sagas.push(client.query_one(sql, &[&input.to_string()]).await.unwrap().get(0));
        sagas.push(first.start("visit", &json!({ "guest": null })).await.unwrap());
    }
    for (n, of_guest) in sagas.chunks(4).enumerate() {
        let bucket = Bucket::from_key(&format!("\"guest {}\"", n % 3));
        assert!(of_guest[..3].iter().all(|saga| Bucket::from_id(*saga) == bucket), "all of a guest are in one bucket");
    }
    let keyed = first.start_once("visit", &json!({}), "key of its own").await.unwrap();
    assert_eq!(Bucket::from_id(keyed), Bucket::from_key("key of its own"));
    all_completed(&first, &sagas, &desk).await;
    // For each guest they ran in the order of their starts.
    let rows = client
        .query("select j.id from amends.journal j where j.kind in ('started', 'begun') order by j.at, j.id", &[])
        .await
        .unwrap();
    let began: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    let place = |saga: &Uuid| began.iter().position(|one| one == saga).unwrap();
    for pair in [0, 4, 8].map(|at| (sagas[at], sagas[at + 12], sagas[at + 24])) {
        assert!(place(&pair.0) < place(&pair.1) && place(&pair.1) < place(&pair.2));
    }
    let ended = first.run("visit", &json!({ "guest": "late" })).await.unwrap();
    assert_eq!(ended.status, Status::Completed);
    first.stop(Duration::from_secs(5)).await.unwrap();
    second.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_start_that_is_called_off_while_it_waits_never_acts() {
    let database = Database::create().await;
    let desk = Arc::<Mutex<Desk>>::default();
    let runtime = node(&database.url, "one", &desk, Duration::from_millis(1_500)).await;
    let input = json!({ "guest": "ada" });
    let holder = runtime.start("visit", &input).await.unwrap();
    let store = runtime.store().clone();
    eventually("the first one runs", async || desk.lock().unwrap().acted.contains(&holder)).await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(runtime.start("visit", &input).await.unwrap());
    }
    eventually("the others wait behind it", async || {
        store.saga(waiting[3]).await.unwrap().unwrap().behind == Some(holder)
    })
    .await;
    let ask = |request: Request, saga: Uuid| runtime.signal(saga, request);
    let provide = Request::Provide { event: "news".into(), payload: json!(1).into() };
    ask(provide, waiting[0]).await.unwrap();
    ask(Request::Cancel { reason: "not needed".into() }, waiting[0]).await.unwrap();
    ask(Request::Abandon { reason: "by hand".into() }, waiting[1]).await.unwrap();
    ask(Request::Touch, waiting[2]).await.unwrap();
    let client = database.client().await;
    client.execute("select amends.request($1, '{\"cancel\": {\"why\": 1}}')", &[&waiting[3]]).await.unwrap();
    assert_eq!(end_of(&runtime, waiting[0]).await, Status::Compensated);
    assert_eq!(end_of(&runtime, waiting[1]).await, Status::Abandoned);
    let row = store.saga(holder).await.unwrap().unwrap();
    assert!(!row.status.is_end(), "they did not wait for it");
    // What cannot be read, or is no end, is answered when their turn has come.
    for saga in [holder, waiting[2], waiting[3]] {
        assert_eq!(end_of(&runtime, saga).await, Status::Completed);
        let signals = store.signals_after(saga, 0).await.unwrap();
        assert!(signals.iter().all(|signal| signal.fate.as_deref() == Some("refused")), "{signals:?}");
    }
    let desk = desk.lock().unwrap();
    assert!(!desk.acted.contains(&waiting[0]) && !desk.acted.contains(&waiting[1]), "they never acted");
    assert_eq!(desk.overlaps, [] as [String; 0]);
}

/// The same for any start that was cancelled before a node took it.
#[tokio::test]
async fn a_start_that_is_cancelled_before_it_is_claimed_never_acts() {
    let database = Database::create().await;
    let desk = Arc::<Mutex<Desk>>::default();
    let runtime = node(&database.url, "one", &desk, Duration::ZERO).await;
    let client = database.client().await;
    client.batch_execute("begin").await.unwrap();
    let sql = "select amends.start('visit', '{}')";
    let saga: Uuid = client.query_one(sql, &[]).await.unwrap().get(0);
    client.execute("select amends.request($1, '{\"cancel\": {\"reason\": \"no\"}}')", &[&saga]).await.unwrap();
    client.batch_execute("commit").await.unwrap();
    assert_eq!(end_of(&runtime, saga).await, Status::Compensated);
    assert!(desk.lock().unwrap().acted.is_empty());
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn the_turn_of_a_node_that_is_cut_off_goes_on_with_its_saga() {
    let database = Database::create().await;
    let proxy = Proxy::before(cluster().port).await;
    let desk = Arc::<Mutex<Desk>>::default();
    let url = database.tcp_url("127.0.0.1", proxy.port);
    let healthy = node(&database.url, "healthy", &desk, Duration::from_millis(20)).await;
    let lost = node(&url, "lost", &desk, Duration::from_millis(20)).await;
    let mut sagas = Vec::new();
    for n in 0..40 {
        sagas.push(lost.start("visit", &json!({ "guest": n % 4 })).await.unwrap());
    }
    eventually("some have ended", async || desk.lock().unwrap().acted.len() > 10).await;
    proxy.next(Fault::Refuse);
    all_completed(&healthy, &sagas, &desk).await;
    proxy.next(Fault::None);
    eventually("the node has joined again", async || lost.health_issues().is_empty()).await;
    lost.stop(Duration::from_secs(5)).await.unwrap();
    healthy.stop(Duration::from_secs(5)).await.unwrap();
}
