//! `node.idle: sleep`: a node that has nothing to do keeps no connection and sends no statement. Owns what wakes it and
//! what keeps it awake.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Notice, Step};
use amends::saga::state::Status;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::harness::{Database, eventually};

/// A node that sleeps after it had nothing to do for this long.
const AFTER: Duration = Duration::from_millis(400);
/// Far longer than any test waits.
const LONG: Duration = Duration::from_secs(3_600);

struct Scene {
    database: Database,
    client: Client,
    /// Lets the calls of `held` end.
    gate: Arc<Semaphore>,
    /// How often the receiver was told of an end. It receives nothing the first time, and asks for some seconds.
    told: Arc<AtomicUsize>,
}

impl Scene {
    async fn set() -> Self {
        let database = Database::create().await;
        Self { client: database.client().await, database, gate: Arc::new(Semaphore::new(0)), told: Arc::default() }
    }

    /// A node whose sessions have its name, so that they can be told from others.
    async fn node(&self, name: &str, most: Duration) -> Runtime {
        let gate = self.gate.clone();
        let held = move |_: StepContext, _: Value| {
            let gate = gate.clone();
            async move {
                let _ = gate.acquire().await.map(tokio::sync::SemaphorePermit::forget);
                Ok::<_, Failure>(Value::Null)
            }
        };
        let work = |_: StepContext, _: Value| async { Ok::<_, Failure>(Value::Null) };
        let told = self.told.clone();
        let tell = move |_: StepContext, _: Value| {
            let is_first = told.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                match is_first {
                    true => Err(Failure::retryable("busy", "come back").after(Duration::from_secs(6))),
                    false => Ok(Value::Null),
                }
            }
        };
        let step = |name: &str| Step::new(name, Call::handler(name).idempotent()).irreversible();
        let separator = if self.database.url.contains('?') { '&' } else { '?' };
        Runtime::builder(format!("{}{separator}application_name={name}", self.database.url))
            .name(name)
            .handlers(Handlers::new().register("work", work).register("held", held).register("tell", tell))
            .definition(Draft::new("plain").step(step("work")))
            .definition(Draft::new("tells").on_end(Notice::handler("tell")).step(step("work")))
            .definition(Draft::new("held").step(step("held")))
            .definition(Draft::new("later").step(Step::sleeping("nap", 14_000)).step(step("work").needs(["nap"])))
            .definition(Draft::new("waits").step(Step::awaiting("go", "go", None)).step(step("work").needs(["go"])))
            .sleep_when_idle(AFTER, most)
            .begin()
            .await
            .unwrap()
    }

    async fn sessions(&self, name: &str) -> i64 {
        let sql = "select count(*) from pg_stat_activity where application_name = $1";
        self.client.query_one(sql, &[&name]).await.unwrap().get(0)
    }

    async fn live(&self) -> i64 {
        let sql = "select count(*) from amends.nodes where state <> 'gone'";
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    async fn falls_asleep(&self, name: &str) {
        eventually("the node sleeps", async || self.sessions(name).await == 0 && self.live().await == 0).await;
    }

    /// Watches that the node opens no session for a while.
    async fn stays_asleep(&self, name: &str, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            assert_eq!((self.sessions(name).await, self.live().await), (0, 0));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn has_ended(&self, saga: Uuid) -> bool {
        let sql = "select exists (select from amends.saga_done d where d.id = $1 and d.status = 'completed')";
        self.client.query_one(sql, &[&saga]).await.unwrap().get(0)
    }

    async fn start(&self, definition: &str) -> Uuid {
        self.client.query_one("select amends.start($1, '{}')", &[&definition]).await.unwrap().get(0)
    }
}

async fn stop(node: Runtime) {
    assert!(node.stop(Duration::from_secs(5)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_work_keeps_no_connection_and_wakes_when_something_is_due() {
    let (scene, name) = (Scene::set().await, "sleep-due");
    let node = scene.node(name, LONG).await;
    let later = node.start("later", &json!({})).await.unwrap();
    scene.falls_asleep(name).await;
    assert!(!scene.has_ended(later).await, "it slept only after the timer");
    assert_eq!(node.health_issues(), [""; 0], "it takes starts, so it is ready");
    scene.stays_asleep(name, Duration::from_secs(3)).await;
    eventually("its timer wakes the node", async || scene.has_ended(later).await).await;
    let sql = "select extract(epoch from ended_at - started_at)::float8 - 14 from amends.saga_done where id = $1";
    let late: f64 = scene.client.query_one(sql, &[&later]).await.unwrap().get(0);
    println!("the timer was {late:.3} s late");
    scene.falls_asleep(name).await;

    // A start in this process wakes it at once, and so does a signal.
    let began = Instant::now();
    assert_eq!(node.run("plain", &json!({})).await.unwrap().status, Status::Completed);
    println!("a start on the sleeping node took {:?}", began.elapsed());
    let waits = node.start("waits", &json!({})).await.unwrap();
    scene.falls_asleep(name).await;
    let go = amends::saga::event::Request::Provide { event: "go".into(), payload: json!({}).into() };
    node.signal(waits, go).await.unwrap();
    eventually("a signal wakes the node", async || scene.has_ended(waits).await).await;

    // It sees nothing of a start by SQL until it wakes.
    scene.falls_asleep(name).await;
    let unseen = scene.start("plain").await;
    scene.stays_asleep(name, Duration::from_secs(2)).await;
    assert_eq!(node.run("plain", &json!({})).await.unwrap().status, Status::Completed);
    eventually("the start from outside runs, too", async || scene.has_ended(unseen).await).await;
    scene.falls_asleep(name).await;
    stop(node).await;
    assert_eq!(scene.live().await, 0);
}

/// A notice that was not received, and a rerun that is to begin later.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_and_a_rerun_wake_a_node_when_they_are_due() {
    let (scene, name) = (Scene::set().await, "sleep-events");
    let node = scene.node(name, LONG).await;
    assert_eq!(node.run("tells", &json!({})).await.unwrap().status, Status::Completed);
    scene.falls_asleep(name).await;
    assert_eq!(scene.told.load(Ordering::Relaxed), 1, "it has asked for more time");
    eventually("the event wakes the node", async || scene.told.load(Ordering::Relaxed) == 2).await;
    scene.falls_asleep(name).await;

    let ended = node.start("plain", &json!({})).await.unwrap();
    node.wait(ended).await.unwrap();
    let later = format!(
        "begin; select amends.rerun_from('{ended}', 'work', 'a test');
         update amends.rerun set due_at = amends.now() + interval '6 s'; commit"
    );
    scene.client.batch_execute(&later).await.unwrap();
    let is_decided = async || {
        let sql = "select fate is not null from amends.rerun";
        scene.client.query_one(sql, &[]).await.unwrap().get::<_, bool>(0)
    };
    scene.falls_asleep(name).await;
    assert!(!is_decided().await, "it slept only after the rerun was due");
    eventually("the rerun wakes the node", is_decided).await;
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_stops_while_it_sleeps_and_opens_no_connection_for_that() {
    let (scene, name) = (Scene::set().await, "sleep-stops");
    let node = scene.node(name, LONG).await;
    scene.falls_asleep(name).await;
    let (stops, watches) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(60), node.stop(Duration::from_secs(5))),
        scene.stays_asleep(name, Duration::from_secs(1)),
    );
    assert!(stops.unwrap().unwrap());
    let () = watches;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_sleep_ends_by_itself() {
    let (scene, name) = (Scene::set().await, "sleep-most");
    let node = scene.node(name, Duration::from_secs(2)).await;
    scene.falls_asleep(name).await;
    let saga = scene.start("plain").await;
    eventually("the node sees the start when it wakes", async || scene.has_ended(saga).await).await;
    stop(node).await;
}

/// While a saga runs, a node must be awake that notices the death of its node. A caller that waits keeps its node
/// awake.
#[tokio::test(flavor = "multi_thread")]
async fn a_saga_under_way_keeps_every_node_awake() {
    let scene = Scene::set().await;
    let (one, other) = (scene.node("sleep-one", LONG).await, scene.node("sleep-other", LONG).await);
    let saga = one.start("held", &json!({})).await.unwrap();
    eventually("both are there", async || scene.live().await == 2).await;
    let began = Instant::now();
    while began.elapsed() < AFTER * 6 {
        assert_eq!(scene.live().await, 2);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    scene.gate.add_permits(1);
    eventually("it ends", async || scene.has_ended(saga).await).await;
    eventually("both sleep", async || scene.live().await == 0).await;
    let later = one.start("later", &json!({})).await.unwrap();
    assert_eq!(one.wait(later).await.unwrap().status, Status::Completed);
    stop(one).await;
    stop(other).await;
}

/// Requests that come while the node falls asleep, or wakes.
#[tokio::test(flavor = "multi_thread")]
async fn no_start_is_lost_at_the_edges_of_sleep() {
    let (scene, name) = (Scene::set().await, "sleep-edges");
    let node = scene.node(name, LONG).await;
    let mut sagas = Vec::new();
    for round in 0..24_u64 {
        // Around the time after which it falls asleep.
        tokio::time::sleep(AFTER + Duration::from_millis(round * 15)).await;
        for _ in 0..4 {
            sagas.push(node.start("plain", &json!({})).await.unwrap());
        }
    }
    for saga in sagas {
        eventually("each saga ends", async || scene.has_ended(saga).await).await;
    }
    scene.falls_asleep(name).await;
    stop(node).await;
}
