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
    let quick = Draft::new("quick").step(step("first", "input.n > 0")).output(json!({ "n": "${ input.n }" }));
    let runtime = Runtime::builder(database.url.clone()).handlers(handlers).definition(long).definition(quick);
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
