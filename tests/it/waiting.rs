//! Who waits for a saga learns how it ended, whichever node ran it to its end.

use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Step};
use amends::saga::event::Request;
use amends::saga::state::Status;
use serde_json::{Value, json};

use crate::harness::{Database, eventually};

async fn able(database: &Database) -> Runtime {
    let work = |_: StepContext, _: Value| async { Ok::<_, Failure>(json!("done")) };
    let draft = Draft::new("elsewhere")
        .step(Step::awaiting("bell", "rung", None))
        .step(Step::new("work", Call::handler("work").idempotent()).retriable().needs(["bell"]))
        .output(json!("${ steps.work }"));
    let handlers = Handlers::new().register("work", work);
    Runtime::builder(database.url.clone()).handlers(handlers).definition(draft).begin().await.unwrap()
}

/// Starts a saga and rings its bell when it stands there; returns who waits for its end.
async fn waiting(
    database: &Database,
    caller: &Runtime,
    before_the_bell: impl AsyncFnOnce(),
    ringer: &Runtime,
) -> Value {
    let asking = caller.clone();
    let told = tokio::spawn(async move { asking.run("elsewhere", &json!({})).await });
    let client = database.client().await;
    eventually("it waits for the bell", async || {
        let sql = "select from amends.steps where step = 'bell' and state = 'awaiting'";
        client.query(sql, &[]).await.unwrap().len() == 1
    })
    .await;
    before_the_bell().await;
    let saga = client.query_one("select id from amends.saga", &[]).await.unwrap().get(0);
    let ring = Request::Provide { event: "rung".into(), payload: json!(null).into() };
    ringer.signal(saga, ring).await.unwrap();
    let limit = Duration::from_secs(60);
    let ended = tokio::time::timeout(limit, told).await.expect("it is told").unwrap().unwrap();
    assert_eq!(ended.status, Status::Completed);
    ended.result.to_value()
}

#[tokio::test]
async fn a_caller_is_told_of_an_end_that_another_node_saw() {
    let database = Database::create().await;
    let able = able(&database).await;
    let unable = Runtime::builder(database.url.clone()).begin().await.unwrap();
    eventually("it knows what it cannot run", async || !unable.unrunnable_definitions().is_empty()).await;
    assert_eq!(waiting(&database, &unable, async || {}, &able).await, json!("done"));
    for node in [able, unable] {
        node.stop(Duration::from_secs(5)).await.unwrap();
    }
}

#[tokio::test]
async fn a_caller_whose_node_stops_is_told_all_the_same() {
    let database = Database::create().await;
    let (leaves, stays) = (able(&database).await, able(&database).await);
    let stop = async || {
        leaves.stop(Duration::from_secs(5)).await.unwrap();
    };
    assert_eq!(waiting(&database, &leaves, stop, &stays).await, json!("done"));
    stays.stop(Duration::from_secs(5)).await.unwrap();
}
