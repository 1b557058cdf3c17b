//! Transactional steps as a program uses them: effects in the runtime's own Postgres, exactly once, whatever
//! the handler does and whenever its node dies. Where a process dies in the middle is the crash matrix's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Retry, Step};
use amends::saga::state::Status;
use amends::transaction::Transaction;
use serde_json::{Value, json};

use crate::harness::Database;

/// Writes an effect, and then behaves as the saga's input says at this attempt.
fn handlers(calls: &Arc<AtomicU32>) -> Handlers {
    let calls = calls.clone();
    Handlers::new()
        .register_transactional("effect", move |context: StepContext, database: Transaction, input: Value| {
            let calls = calls.clone();
            async move {
                calls.fetch_add(1, Ordering::SeqCst);
                let (step, key) = (context.step().to_owned(), context.key().to_owned());
                database.execute("insert into effect values ($1, $2)", &[&step, &key]).await?;
                let attempt = usize::try_from(context.attempt()).unwrap_or_default();
                match input["does"][attempt - 1].as_str() {
                    Some("panic") => panic!("after the effect"),
                    Some("hang") => std::future::pending().await,
                    Some("doubt") => Err(Failure::unknown("doubt", "who knows")),
                    Some("pending") => Err(Failure::pending()),
                    Some("refuse") => Err(Failure::permanent("declined", "no")),
                    Some("error") => Ok(json!(database.execute("select 1 / 0", &[]).await?)),
                    Some(_) | None => Ok(json!({ "key": key })),
                }
            }
        })
        .register_transactional("undo", |context: StepContext, database: Transaction, _: Value| async move {
            let key = context.action_key().unwrap_or_default().to_owned();
            let undone = database.execute("delete from effect where key = $1", &[&key]).await?;
            Ok::<_, Failure>(json!(undone))
        })
        .register("refuse", |_: StepContext, _: Value| async {
            Err::<Value, _>(Failure::permanent("declined", "no"))
        })
}

fn step(name: &str) -> Step {
    let retry = Retry { attempts: 6, backoff_ms: 5, multiplier: 1.0, backoff_max_ms: 5, jitter: 0.0 };
    let call = |handler| Call::handler(handler).transactional().retry(retry.clone()).timeout_ms(400);
    Step::new(name, call("effect")).compensation(call("undo"))
}

async fn begin(database: &Database, calls: &Arc<AtomicU32>) -> Runtime {
    let sql = "create table effect (step text, key text)";
    database.client().await.batch_execute(sql).await.unwrap();
    let wide = (0..8).fold(Draft::new("wide"), |draft, number| draft.step(step(&format!("s{number}"))));
    let refuses = Step::new("z", Call::handler("refuse").idempotent()).pivot().needs(["a", "b"]);
    Runtime::builder(&database.url)
        .handlers(handlers(calls))
        .definition(Draft::new("forth").step(step("a")).step(step("b").needs(["a"])))
        .definition(Draft::new("back").step(step("a")).step(step("b").needs(["a"])).step(refuses))
        .definition(wide)
        .begin()
        .await
        .unwrap()
}

async fn effects(database: &Database) -> Vec<String> {
    let sql = "select step from effect order by step";
    database.client().await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effects_stand_exactly_once_whatever_the_handler_does() {
    let (database, calls) = (Database::create().await, Arc::default());
    let runtime = begin(&database, &calls).await;
    let input = json!({ "does": ["panic", "hang", "doubt", "error"] });
    let ended = runtime.run("forth", &input).await.unwrap();
    assert_eq!((ended.status, effects(&database).await), (Status::Completed, vec!["a".into(), "b".into()]));
    assert_eq!(calls.load(Ordering::SeqCst), 10, "each step took five attempts");

    let ended = runtime.run("back", &json!({})).await.unwrap();
    assert_eq!(ended.status, Status::Compensated);
    assert_eq!(effects(&database).await, ["a", "b"], "the second saga's effects are undone");
    for refusal in ["refuse", "pending"] {
        let ended = runtime.run("forth", &json!({ "does": [refusal] })).await.unwrap();
        assert_eq!((ended.status, effects(&database).await.len()), (Status::Compensated, 2), "{refusal}");
    }
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

/// Branches succeed at the same time, and their rows still come one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_transactions_of_many_sagas_at_once() {
    let (database, calls) = (Database::create().await, Arc::default());
    let runtime = begin(&database, &calls).await;
    let mut running = Vec::new();
    for _ in 0..30 {
        let runtime = runtime.clone();
        running.push(tokio::spawn(async move { runtime.run("wide", &json!({})).await.unwrap().status }));
    }
    for saga in running {
        assert_eq!(saga.await.unwrap(), Status::Completed);
    }
    let sql = "select count(*), count(distinct key) from effect";
    let row = database.client().await.query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (240, 240));
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}
