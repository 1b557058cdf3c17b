//! Expressions that take long: they run beside the actors, so the other sagas of the node go on meanwhile.

use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Step};
use amends::saga::state::Status;
use serde_json::{Value, json};

use crate::harness::Database;

/// Work of most of a budget, over a list of 20,000 numbers.
const LONG: &str = "input.list.filter(x, x % 2 == 0 && x + 1 > x && x + 2 > x && x + 3 > x).size()";

/// A pattern that reads at the speed of its size what is not ASCII.
const COSTLY: &str = "(?:[aé]?\\b?){60}[x-z]?$";

async fn begin(database: &Database) -> Runtime {
    let handlers = Handlers::new()
        .register("note", |_: StepContext, input: Value| async move { Ok::<_, Failure>(json!({ "saw": input["n"] })) });
    let step = |name: &str, when: &str| {
        let call = || Call::handler("note").idempotent();
        Step::new(name, call()).compensation(call()).when(when)
    };
    let long = Draft::new("long")
        .step(step("first", &format!("{LONG} == 10000")))
        .step(step("second", &format!("{LONG} == 9999")).needs(["first"]))
        .output(json!({ "even": format!("${{ {LONG} }}"), "n": "${ input.n }", "second": "${ steps.second }" }));
    let list = json!({ "type": "array", "items": { "pattern": COSTLY } });
    let checked =
        Draft::new("checked").input(json!({ "properties": { "texts": list } })).step(step("first", "input.n > 0"));
    let quick = Draft::new("quick").step(step("first", "input.n > 0")).output(json!({ "n": "${ input.n }" }));
    let runtime = Runtime::builder(database.url.clone()).handlers(handlers).definition(long).definition(quick);
    let runtime = runtime.definition(checked);
    runtime.begin().await.expect("a node begins")
}

#[tokio::test(flavor = "multi_thread")]
async fn sagas_that_evaluate_for_long_hold_up_no_other_saga() {
    let database = Database::create().await;
    let runtime = begin(&database).await;
    let list: Vec<u32> = (0..20_000).collect();
    let mut long = Vec::new();
    for n in 1..=6 {
        long.push(runtime.start("long", &json!({ "n": n, "list": list })).await.expect("it starts"));
    }
    let quick = runtime.run("quick", &json!({ "n": 1 })).await.expect("it ends");
    assert_eq!((quick.status, quick.result.to_value()), (Status::Completed, json!({ "n": 1 })));
    let mut running = 0;
    for saga in &long {
        let seen = runtime.client().inspect(*saga).await.expect("it is there");
        running += usize::from(!seen.saga.status.is_end());
    }
    assert!(running > 0, "the quick saga waited for all the long ones");
    for (n, saga) in (1..).zip(&long) {
        let ended = runtime.wait(*saga).await.expect("it ends");
        assert_eq!(ended.status, Status::Completed);
        assert_eq!(ended.result.to_value(), json!({ "even": 10_000, "n": n, "second": null }));
    }
    assert!(runtime.stop(Duration::from_secs(5)).await.expect("it stops"));
}

/// A start by SQL is checked by the node that takes it: an input whose check takes long, and one whose check would take
/// too long.
#[tokio::test(flavor = "multi_thread")]
async fn inputs_whose_check_takes_long_hold_up_no_other_saga() {
    let database = Database::create().await;
    let runtime = begin(&database).await;
    let client = database.client().await;
    let start = async |input: Value| -> uuid::Uuid {
        let sql = "select amends.start('checked', $1::text::json)";
        client.query_one(sql, &[&input.to_string()]).await.expect("it starts").get(0)
    };
    let mut slow = Vec::new();
    for n in 1..=6 {
        slow.push(start(json!({ "n": n, "texts": vec!["aé".repeat(300); 10] })).await);
    }
    let quick = runtime.run("quick", &json!({ "n": 1 })).await.expect("it ends");
    assert_eq!(quick.status, Status::Completed);
    let mut running = 0;
    for saga in &slow {
        let seen = runtime.client().inspect(*saga).await.expect("it is there");
        running += usize::from(!seen.saga.status.is_end());
    }
    assert!(running > 0, "the quick saga waited for all the checks");
    for saga in slow {
        let ended = runtime.wait(saga).await.expect("it ends");
        assert_eq!(ended.status, Status::Completed, "{:?}", ended.result.to_value());
    }
    // In both doors, what would take too long is refused before it is read.
    let too_much = json!({ "n": 1, "texts": ["aé".repeat(85_000)] });
    let begun = std::time::Instant::now();
    let refused = runtime.wait(start(too_much.clone()).await).await.expect("it ends");
    let said = refused.result.to_value().to_string();
    assert!(refused.status == Status::Compensated && said.contains("takes more work"), "{said}");
    let error = runtime.start("checked", &too_much).await.expect_err("it is refused").to_string();
    assert!(error.contains("takes more work") && error.len() < 1_000, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(runtime.stop(Duration::from_secs(5)).await.expect("it stops"));
}
