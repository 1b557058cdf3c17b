//! What a node must survive: the death of its actors, a database that is gone, being taken for dead. The
//! effects are counted by idempotency key, as a participant would.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Retry, Step};
use amends::saga::event::Request;
use amends::saga::state::Status;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Database, cluster};
use crate::proxy::{Fault, Proxy};

/// How often each key was called.
type Ledger = Arc<Mutex<HashMap<String, u32>>>;

fn handlers(ledger: &Ledger, pause: Duration) -> Handlers {
    let ledger = ledger.clone();
    let undo = |_: StepContext, _: Value| async move { Ok::<_, Failure>(Value::Null) };
    Handlers::new().register("undo", undo).register("effect", move |context: StepContext, _: Value| {
        let ledger = ledger.clone();
        async move {
            *ledger.lock().unwrap().entry(context.key().to_owned()).or_default() += 1;
            tokio::time::sleep(pause).await;
            Ok::<_, Failure>(json!(context.key()))
        }
    })
}

/// Three steps, one after the other.
fn draft(name: &str) -> Draft {
    let retry = Retry { attempts: 8, backoff_ms: 5, multiplier: 2.0, backoff_max_ms: 100, jitter: 0.5 };
    let call = |handler: &str| Call::handler(handler).idempotent().retry(retry.clone());
    let step = |name: &str| Step::new(name, call("effect")).compensation(call("undo"));
    Draft::new(name).step(step("first")).step(step("second").needs(["first"])).step(step("third").needs(["second"]))
}

async fn node(url: &str, name: &str, ledger: &Ledger, pause: Duration) -> Runtime {
    let builder = Runtime::builder(url).name(name).lease(Duration::from_secs(2));
    builder.handlers(handlers(ledger, pause)).definition(draft(name_of(name))).begin().await.unwrap()
}

/// The definition's name is the part of the node's before the number.
fn name_of(node: &str) -> &str {
    node.split('-').next().unwrap_or(node)
}

async fn start(runtime: &Runtime, name: &str, sagas: usize) -> Vec<Uuid> {
    let mut started = Vec::new();
    for _ in 0..sagas {
        started.push(runtime.start(name, &json!({})).await.unwrap());
    }
    started
}

/// Every saga is completed, and had each effect under one key.
async fn all_completed(runtime: &Runtime, sagas: &[Uuid], ledger: &Ledger) {
    for saga in sagas {
        let ended = tokio::time::timeout(Duration::from_secs(60), runtime.wait(*saga)).await;
        assert_eq!(ended.expect("it ends in time").unwrap().status, Status::Completed);
    }
    let ledger = ledger.lock().unwrap();
    let mut keys: HashMap<String, u32> = HashMap::new();
    for key in ledger.keys() {
        let (call, _generation) = key.rsplit_once('-').unwrap();
        *keys.entry(call.to_owned()).or_default() += 1;
    }
    assert_eq!(keys.len(), sagas.len() * 3, "each step of each saga had its effect");
    let doubled: Vec<_> = keys.iter().filter(|(_, generations)| **generations > 1).collect();
    assert!(doubled.is_empty(), "effects under a second key: {doubled:?}");
}

#[tokio::test]
async fn the_death_of_a_sagas_actor_is_survived() {
    let database = Database::create().await;
    let ledger = Ledger::default();
    let runtime = node(&database.url, "fragile", &ledger, Duration::from_millis(50)).await;
    // Whoever starts a saga whose actor dies at once is told that nobody knows; so first they start.
    let sagas = start(&runtime, "fragile", 12).await;
    fail::cfg("saga: accepted for fragile forward", "2*off->1*panic->3*off->1*panic->off").unwrap();
    fail::cfg("saga: decided for fragile forward", "5*off->1*panic->2*off->1*panic->off").unwrap();
    all_completed(&runtime, &sagas, &ledger).await;
    for place in ["saga: accepted for fragile forward", "saga: decided for fragile forward"] {
        fail::remove(place);
    }
    assert!(runtime.health_issues().is_empty(), "{:?}", runtime.health_issues());
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

/// Time alone is no sign of death: another node is there, and leaves alone what takes longer than a lease.
#[tokio::test]
async fn a_step_may_take_longer_than_a_lease() {
    let database = Database::create().await;
    let ledger = Ledger::default();
    let slow = node(&database.url, "patient-1", &ledger, Duration::from_secs(5)).await;
    let sagas = start(&slow, "patient", 2).await;
    let other = node(&database.url, "patient-2", &ledger, Duration::ZERO).await;
    all_completed(&slow, &sagas, &ledger).await;
    assert!(ledger.lock().unwrap().values().all(|calls| *calls == 1), "each call was made once");
    let lost = "select count(*) from amends.journal where kind = 'owner_lost'";
    assert_eq!(database.client().await.query_one(lost, &[]).await.unwrap().get::<_, i64>(0), 0);
    for runtime in [slow, other] {
        runtime.stop(Duration::from_secs(5)).await.unwrap();
    }
}

#[tokio::test]
async fn a_database_that_is_gone_for_half_a_minute_costs_time_only() {
    let database = Database::create().await;
    let proxy = Proxy::before(cluster().port).await;
    let ledger = Ledger::default();
    let url = database.tcp_url("127.0.0.1", proxy.port);
    let runtime = node(&url, "offline", &ledger, Duration::from_millis(20)).await;
    let sagas = start(&runtime, "offline", 40).await;
    proxy.next(Fault::Refuse);
    let outage = tokio::time::sleep(Duration::from_secs(30));
    for word in ["nothing can be recorded", "beat"] {
        crate::harness::eventually(&format!("the node says {word:?}"), async || {
            runtime.health_issues().iter().any(|complaint| complaint.contains(word))
        })
        .await;
    }
    outage.await;
    proxy.next(Fault::None);
    all_completed(&runtime, &sagas, &ledger).await;
    let called: Vec<u32> = ledger.lock().unwrap().values().copied().collect();
    assert!(called.iter().all(|calls| *calls == 1), "the process lived, so nothing is called twice: {called:?}");
    crate::harness::eventually("the node is well again", async || runtime.health_issues().is_empty()).await;
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_node_that_was_taken_for_dead_writes_nothing_more_and_comes_back() {
    let database = Database::create().await;
    let proxy = Proxy::before(cluster().port).await;
    let ledger = Ledger::default();
    let url = database.tcp_url("127.0.0.1", proxy.port);
    let healthy = node(&database.url, "zombie-1", &ledger, Duration::from_millis(50)).await;
    let cut_off = node(&url, "zombie-2", &ledger, Duration::from_millis(50)).await;
    let sagas = start(&cut_off, "zombie", 40).await;
    proxy.next(Fault::Refuse);
    all_completed(&healthy, &sagas, &ledger).await;
    proxy.next(Fault::None);
    crate::harness::eventually("the node has joined again", async || cut_off.health_issues().is_empty()).await;
    let ended = cut_off.run("zombie", &json!({})).await.unwrap();
    assert_eq!(ended.status, Status::Completed);
    cut_off.stop(Duration::from_secs(5)).await.unwrap();
    healthy.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_drain_hands_back_without_spending_an_attempt() {
    let database = Database::create().await;
    let ledger = Ledger::default();
    let first = node(&database.url, "drained-1", &ledger, Duration::from_millis(100)).await;
    let sagas = start(&first, "drained", 20).await;
    let second = node(&database.url, "drained-2", &ledger, Duration::from_millis(100)).await;
    assert!(first.stop(Duration::from_secs(10)).await.unwrap(), "everything was handed back");
    all_completed(&second, &sagas, &ledger).await;
    let called: Vec<u32> = ledger.lock().unwrap().values().copied().collect();
    assert!(called.iter().all(|calls| *calls == 1), "what is handed back in order is called once: {called:?}");
    for saga in &sagas {
        let journal = second.store().journal(*saga).await.unwrap();
        assert!(journal.iter().all(|row| row.kind != "owner_lost"), "nothing was lost in the handover");
    }
    second.stop(Duration::from_secs(5)).await.unwrap();
}

/// As after a claim that the server carried out long after its connection was given up: the lane owns a saga, and
/// nobody on the node knows of it.
#[tokio::test]
async fn a_saga_that_its_lane_owns_and_nobody_runs_is_taken_up() {
    let database = Database::create().await;
    let ledger = Ledger::default();
    let draft = Draft::new("stray").step(Step::awaiting("paid", "payment", None));
    let builder = Runtime::builder(database.url.clone()).lanes(1).lease(Duration::from_secs(2));
    let runtime = builder.handlers(handlers(&ledger, Duration::ZERO)).definition(draft).begin().await.unwrap();
    let saga = runtime.start("stray", &json!({})).await.unwrap();
    let client = database.client().await;
    let own = format!(
        "with woken as (delete from amends.timer where id = '{saga}' returning id)
         update amends.saga set lane = (select id from amends.lane where live) where id in (select id from woken)"
    );
    crate::harness::eventually("it is parked, and owned again", async || client.execute(&own, &[]).await.unwrap() == 1)
        .await;
    let request = Request::Provide { event: "payment".into(), payload: json!({ "cents": 5 }).into() };
    runtime.signal(saga, request).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(60), runtime.wait(saga)).await;
    assert_eq!(ended.expect("it is not forgotten").unwrap().status, Status::Completed);
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

/// As after a look into the inbox whose answer was lost: the wake is gone, and the saga's call goes on for long.
#[tokio::test]
async fn a_signal_whose_wake_was_lost_is_read_with_the_next_answer() {
    let database = Database::create().await;
    let ledger = Ledger::default();
    let draft = Draft::new("deaf").step(Step::new("long", Call::handler("effect").idempotent()).irreversible());
    let builder = Runtime::builder(database.url.clone()).lanes(1);
    let forever = Duration::from_secs(600);
    let runtime = builder.handlers(handlers(&ledger, forever)).definition(draft).begin().await.unwrap();
    let saga = runtime.start("deaf", &json!({})).await.unwrap();
    crate::harness::eventually("its call is under way", async || !ledger.lock().unwrap().is_empty()).await;
    let mut client = database.client().await;
    // What a sequence counted stays counted when the statement fails.
    let lose = "create sequence failed;
        create function fail() returns trigger language plpgsql
            as $$ begin perform nextval('public.failed'); raise 'not now'; end $$;
        create trigger fail before delete on amends.inbox for each statement execute function fail()";
    client.batch_execute(lose).await.unwrap();
    client.query_one("select amends.pause($1, 'look at it')", &[&saga]).await.unwrap();
    crate::harness::eventually("an answer was lost", async || {
        client.query_one("select is_called from failed", &[]).await.unwrap().get(0)
    })
    .await;
    let lost = client.transaction().await.unwrap();
    lost.batch_execute("drop trigger fail on amends.inbox").await.unwrap();
    let woken = lost.execute("delete from amends.inbox where id = $1", &[&saga]).await.unwrap();
    assert_eq!(woken, 1, "the signal of a resident saga has a wake");
    lost.commit().await.unwrap();
    let read = "select exists (select from amends.journal where id = $1 and kind = 'requested')";
    crate::harness::eventually("it has read the signal", async || {
        client.query_one(read, &[&saga]).await.unwrap().get(0)
    })
    .await;
    runtime.stop(Duration::ZERO).await.unwrap();
}
