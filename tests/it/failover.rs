//! Failover: a primary dies, and its hot standby is promoted. What was acknowledged under synchronous
//! replication is there. A node whose URL reaches the standby before that says so, takes nothing, and goes on.
//! Owns the pair of servers and the ledger; a server that is set to read-only is in `no_room.rs`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Step};
use amends::saga::state::Status;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Cluster, connect, eventually};

/// Sagas of the test; the primary dies when half of them have been acknowledged.
const SAGAS: usize = 80;

/// Effects by key: the same key again is the same effect.
type Effects = Arc<Mutex<BTreeSet<String>>>;

async fn node(url: &str, name: &str, effects: &Effects) -> Runtime {
    let effects = effects.clone();
    let handlers = Handlers::new().register("effect", move |context: StepContext, _: Value| {
        effects.lock().unwrap().insert(context.key().to_owned());
        async { Ok::<_, Failure>(Value::Null) }
    });
    let draft = Draft::new("pays")
        .step(Step::new("a", Call::handler("effect").idempotent()).irreversible())
        .step(Step::new("b", Call::handler("effect").idempotent()).irreversible().needs(["a"]));
    let builder = Runtime::builder(url).name(name).lease(Duration::from_secs(2)).handlers(handlers);
    builder.definition(draft).begin().await.unwrap()
}

/// Starts what is missing of `until` sagas; returns each that was acknowledged. The key makes a repeat find the first.
async fn start(runtime: &Runtime, started: &Mutex<Vec<Uuid>>, until: usize) {
    loop {
        let number = started.lock().unwrap().len();
        if number >= until {
            return;
        }
        match runtime.start_once("pays", &json!({}), &format!("pay-{number}")).await {
            Ok(saga) => started.lock().unwrap().push(saga),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// A primary and a standby that has everything which the primary acknowledges.
async fn pair() -> (Cluster, Cluster) {
    let primary = Cluster::start("primary", true);
    let admin = primary.ready().await;
    let standby = primary.standby("standby");
    standby.ready().await;
    // Told to the primary after it was copied, or the standby would wait for one of its own.
    admin.batch_execute("alter system set synchronous_standby_names = '*'").await.unwrap();
    admin.batch_execute("select pg_reload_conf()").await.unwrap();
    let follows = "select count(*) from pg_stat_replication where sync_state = 'sync'";
    eventually("the standby is waited for", async || {
        admin.query_one(follows, &[]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
    (primary, standby)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_standby_has_what_was_acknowledged_and_the_nodes_go_on() {
    let (primary, standby) = pair().await;
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port, standby.port);
    let url = format!("postgres://postgres@{hosts}/postgres?sslmode=disable");
    let effects = Effects::default();
    // One takes whatever server answers, one looks for the primary.
    let any = node(&url, "any", &effects).await;
    let choosy = node(&format!("{url}&target_session_attrs=read-write"), "choosy", &effects).await;
    let started = Arc::new(Mutex::new(Vec::new()));
    start(&any, &started, SAGAS / 2).await;
    primary.kill();
    let rest = tokio::spawn({
        let (any, started) = (any.clone(), started.clone());
        async move { start(&any, &started, SAGAS).await }
    });

    let says = |runtime: &Runtime, word: &str| runtime.health_issues().iter().any(|it| it.contains(word));
    let found = tokio::time::timeout(Duration::from_secs(30), async {
        while !says(&any, "found a hot standby") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(found.await.is_ok(), "it says what it has found: {:?}", any.health_issues());
    eventually("the other finds no primary", async || !choosy.health_issues().is_empty()).await;
    let before = effects.lock().unwrap().len();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(effects.lock().unwrap().len(), before, "effects without a record");
    assert!(says(&any, "promote it"), "{:?}", any.health_issues());
    // A node that is told to begin there says the same and ends; whoever runs it starts it again.
    let error = Runtime::builder(standby.url("postgres")).begin().await.err().unwrap().to_string();
    assert!(error.contains("found a hot standby"), "{error}");

    let admin = connect(&standby.url("postgres")).await;
    admin.query_one("select pg_promote()", &[]).await.unwrap();
    rest.await.unwrap();
    let started = started.lock().unwrap().clone();
    for &saga in &started {
        assert_eq!(any.wait(saga).await.unwrap().status, Status::Completed);
    }
    assert_eq!(started.iter().collect::<BTreeSet<_>>().len(), SAGAS, "each key has a saga of its own");
    assert_eq!(effects.lock().unwrap().len(), 2 * SAGAS, "each step took effect once");
    for runtime in [any, choosy] {
        eventually("it is content again", async || runtime.health_issues().is_empty()).await;
        runtime.stop(Duration::from_secs(5)).await.unwrap();
    }
}
