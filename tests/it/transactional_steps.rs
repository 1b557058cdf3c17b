//! Transactional steps as a program uses them: effects in the runtime's own Postgres, exactly once, whatever
//! the handler does and whenever its node dies. Where a process dies in the middle is the crash matrix's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Retry, Step};
use amends::saga::state::Status;
use amends::step_transaction::Transaction;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Database, eventually};

mod given_up;

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
                    Some("error") => {
                        let victim = "do $$ begin raise exception using errcode = 'deadlock_detected'; end $$";
                        Ok(json!(database.execute(victim, &[]).await?))
                    }
                    Some(_) | None => Ok(json!({ "key": key })),
                }
            }
        })
        .register_transactional("undo", |context: StepContext, database: Transaction, _: Value| async move {
            let key = context.action_key().unwrap_or_default().to_owned();
            let undone = database.execute("delete from effect where key = $1", &[&key]).await?;
            Ok::<_, Failure>(json!(undone))
        })
        .register("refuse", |_: StepContext, _: Value| async { Err::<Value, _>(Failure::permanent("declined", "no")) })
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

/// Ends its transaction by itself, and then behaves as the saga's input says.
fn meddlers(others: Handlers, calls: &Arc<AtomicU32>) -> Handlers {
    let calls = calls.clone();
    others.register_transactional("meddle", move |context: StepContext, database: Transaction, input: Value| {
        let calls = calls.clone();
        async move {
            calls.fetch_add(1, Ordering::SeqCst);
            let key = context.key().to_owned();
            let sql = "insert into effect values ('meddled', $1)";
            database.execute(sql, &[&key]).await?;
            let words = input["says"].as_str().unwrap_or_default();
            // A library does it, which is lent the client; or the handler itself, which is refused.
            let told = match input["lent"].as_bool() {
                Some(true) => tokio_postgres::Client::batch_execute(&database, words).await,
                Some(false) | None => database.batch_execute(words).await,
            };
            match input["does"].as_str() {
                Some("panic") => panic!("after the end"),
                Some("hang") => std::future::pending().await,
                Some("retry") => Err(Failure::retryable("busy", "later")),
                Some("refuse") => Err(Failure::permanent("declined", "no")),
                Some("pass on") => {
                    told?;
                    Ok(json!(database.execute("select 1 / 0", &[]).await?))
                }
                Some(_) | None => Ok(json!({ "key": key })),
            }
        }
    })
}

/// Ways to end a transaction. A session that is reset reports nothing of it.
const ENDS: [&str; 7] = [
    "commit",
    "rollback",
    "commit; begin",
    "commit and chain",
    "commit; reset all",
    "commit; begin; reset all",
    "commit; reset all; begin",
];

/// Whatever the handler says: nobody knows what it has committed, and the journal says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_ends_its_transaction_leaves_its_step_unknown() {
    let (database, calls) = (Database::create().await, Arc::default());
    let client = database.client().await;
    client.batch_execute("create table effect (step text, key text)").await.unwrap();
    let once = Retry { attempts: 1, backoff_ms: 5, multiplier: 1.0, backoff_max_ms: 5, jitter: 0.0 };
    let call = Call::handler("meddle").transactional().retry(once).timeout_ms(1_000);
    let runtime = Runtime::builder(&database.url)
        .handlers(meddlers(Handlers::new(), &calls))
        .definition(Draft::new("meddled").step(Step::new("a", call).irreversible()))
        .begin()
        .await
        .unwrap();
    let sql = "select body from amends.journal where id = $1 and kind = 'attempt_ended' order by seq limit 1";
    let mut sagas = Vec::new();
    for says in ENDS {
        for lent in [true, false] {
            for does in ["succeed", "retry", "refuse", "pass on", "panic", "hang"] {
                let input = json!({ "says": says, "lent": lent, "does": does });
                let saga = runtime.start("meddled", &input).await.unwrap();
                eventually("the attempt has ended", async || client.query_opt(sql, &[&saga]).await.unwrap().is_some())
                    .await;
                let body: String = client.query_one(sql, &[&saga]).await.unwrap().get(0);
                assert!(
                    body.contains(r#""unknown""#) && body.contains("transaction_ended"),
                    "{says}, {lent}, {does}: {body}"
                );
                sagas.push(saga);
            }
        }
    }
    // Only a commit that a library made by itself stands, and no row says that it does.
    let stands: i64 = client.query_one("select count(*) from effect", &[]).await.unwrap().get(0);
    assert_eq!(stands, 6 * 6);
    assert_eq!(calls.load(Ordering::SeqCst) as usize, sagas.len(), "each was called once");
    for saga in sagas {
        let legal = "cancel, pause, abandon, resolve a applied, resolve a absent";
        assert_eq!(stuck(&client, saga).await, format!("action in_doubt transaction_ended: {legal}"));
    }
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

/// How a saga is stuck, and what is legal, in any order.
async fn stuck(client: &tokio_postgres::Client, saga: Uuid) -> String {
    eventually("the saga is stuck", async || {
        let sql = "select status from amends.sagas where saga = $1";
        client.query_one(sql, &[&saga]).await.unwrap().get::<_, String>(0) == "stuck"
    })
    .await;
    let sql = "select concat(direction, ' ', reason, ' ', error_code), legal from amends.stuck where saga = $1";
    let row = client.query_one(sql, &[&saga]).await.unwrap();
    let (how, legal): (String, Vec<String>) = (row.get(0), row.get(1));
    format!("{how}: {}", legal.join(", "))
}

/// A compensation, too: it is neither repeated nor said to have undone anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compensation_that_ends_its_transaction_is_looked_at_by_a_person() {
    let (database, calls, undone) = (Database::create().await, Arc::default(), Arc::default());
    let client = database.client().await;
    client.batch_execute("create table effect (step text, key text)").await.unwrap();
    let meddle = Call::handler("meddle").transactional().timeout_ms(1_000);
    let refuses = Step::new("z", Call::handler("refuse").idempotent()).irreversible().needs(["a"]);
    let a = Step::new("a", Call::handler("effect").transactional()).compensation(meddle);
    let runtime = Runtime::builder(&database.url)
        .handlers(meddlers(handlers(&calls), &undone))
        .definition(Draft::new("meddled").step(a).step(refuses))
        .begin()
        .await
        .unwrap();
    let ways = [("commit", true), ("rollback", true), ("commit", false)];
    for (count, (says, lent)) in (1..).zip(ways) {
        let saga = runtime.start("meddled", &json!({ "says": says, "lent": lent })).await.unwrap();
        let legal = "pause, abandon, skip a, resolve a applied, resolve a absent";
        assert_eq!(stuck(&client, saga).await, format!("compensation in_doubt transaction_ended: {legal}"));
        assert_eq!(undone.load(Ordering::SeqCst), count, "{says} is called once");
    }
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

/// Waits until the test lets it go.
fn waits(calls: &Arc<AtomicU32>, go: &Arc<tokio::sync::Semaphore>) -> Handlers {
    let (calls, go) = (calls.clone(), go.clone());
    Handlers::new().register_transactional("wait", move |context: StepContext, database: Transaction, _: Value| {
        let (calls, go) = (calls.clone(), go.clone());
        async move {
            calls.fetch_add(1, Ordering::SeqCst);
            go.acquire().await.unwrap().forget();
            let key = context.key().to_owned();
            database.execute("insert into effect values ('waited', $1)", &[&key]).await?;
            Ok::<_, Failure>(Value::Null)
        }
    })
}

/// More calls than places: each is made once, none is turned back for having waited, and one that is not wanted any
/// more does not wait on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_a_place_is_no_attempt() {
    let (database, calls) = (Database::create().await, Arc::default());
    let go = Arc::new(tokio::sync::Semaphore::new(0));
    let client = database.client().await;
    client.batch_execute("create table effect (step text, key text)").await.unwrap();
    let once = Retry { attempts: 1, backoff_ms: 5, multiplier: 1.0, backoff_max_ms: 5, jitter: 0.0 };
    let call = Call::handler("wait").transactional().retry(once).timeout_ms(20_000);
    let impatient = Call { deadline_ms: Some(300), ..call.clone() };
    let runtime = Runtime::builder(&database.url)
        .handlers(waits(&calls, &go))
        .definition(Draft::new("waits").step(Step::new("a", call).irreversible()))
        .definition(Draft::new("impatient").step(Step::new("a", impatient).irreversible()))
        .begin()
        .await
        .unwrap();
    let mut sagas = Vec::new();
    for _ in 0..16 {
        sagas.push(runtime.start("waits", &json!({})).await.unwrap());
    }
    eventually("all places are taken", async || calls.load(Ordering::SeqCst) == 16).await;
    for _ in 0..40 {
        sagas.push(runtime.start("waits", &json!({})).await.unwrap());
    }
    eventually("the waits are shown", async || {
        let sql = "select count(*) from amends.waits where step = 'a' and direction = 'action'
                   and waits_for = 'one of the node''s transactions'";
        client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 40
    })
    .await;
    // It is cancelled while it waits, and ends before a place is free.
    let cancelled = sagas.pop().unwrap();
    client.query("select amends.cancel($1, 'not wanted')", &[&cancelled]).await.unwrap();
    assert_eq!(runtime.wait(cancelled).await.unwrap().status, Status::Compensated);
    // Its step's deadline passes meanwhile.
    let ended = runtime.run("impatient", &json!({})).await.unwrap();
    assert_eq!(ended.status, Status::Compensated, "{}", ended.result.get());
    assert_eq!(calls.load(Ordering::SeqCst), 16);
    go.add_permits(sagas.len());
    for saga in &sagas {
        assert_eq!(runtime.wait(*saga).await.unwrap().status, Status::Completed);
    }
    assert_eq!(calls.load(Ordering::SeqCst) as usize, sagas.len(), "each was called once");
    eventually("nothing waits any more", async || {
        client.query_one("select count(*) from amends.waits", &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
    let sql = "select count(*) from amends.journal where kind = 'attempt_ended' and body like '%no_transaction%'";
    assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

/// The same when sagas turn back: more compensations at once than places, and each is made once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compensations_that_wait_for_a_place_use_up_no_attempt() {
    let (database, calls) = (Database::create().await, Arc::default());
    let go = Arc::new(tokio::sync::Semaphore::new(0));
    database.client().await.batch_execute("create table effect (step text, key text)").await.unwrap();
    let once = Retry { attempts: 1, backoff_ms: 5, multiplier: 1.0, backoff_max_ms: 5, jitter: 0.0 };
    let undo = Call::handler("wait").transactional().retry(once).timeout_ms(60_000);
    let handlers = waits(&calls, &go)
        .register("work", |_: StepContext, _: Value| async { Ok::<_, Failure>(Value::Null) })
        .register("refuse", |_: StepContext, _: Value| async {
            Err::<Value, _>(Failure::permanent("declined", "no way"))
        });
    let draft = Draft::new("turns_back")
        .step(Step::new("a", Call::handler("work").idempotent()).compensation(undo))
        .step(Step::new("b", Call::handler("refuse").idempotent()).irreversible().needs(["a"]));
    let runtime = Runtime::builder(&database.url).handlers(handlers).definition(draft).begin().await.unwrap();
    let mut sagas = Vec::new();
    for _ in 0..100 {
        sagas.push(runtime.start("turns_back", &json!({})).await.unwrap());
    }
    eventually("all places are taken", async || calls.load(Ordering::SeqCst) == 16).await;
    let client = database.client().await;
    eventually("the others wait", async || {
        let sql = "select count(*) from amends.waits where direction = 'compensation'";
        client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 84
    })
    .await;
    go.add_permits(sagas.len());
    for saga in &sagas {
        assert_eq!(runtime.wait(*saga).await.unwrap().status, Status::Compensated);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 100, "each was called once");
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

/// A node that stops takes nothing along that it has not begun: the next one makes the calls, and none is in doubt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_withdraws_what_waits() {
    let (database, calls) = (Database::create().await, Arc::default());
    let go = Arc::new(tokio::sync::Semaphore::new(0));
    let client = database.client().await;
    client.batch_execute("create table effect (step text, key text)").await.unwrap();
    let once = Retry { attempts: 1, backoff_ms: 5, multiplier: 1.0, backoff_max_ms: 5, jitter: 0.0 };
    let call = Call::handler("wait").transactional().retry(once).timeout_ms(20_000);
    let draft = || Draft::new("waits").step(Step::new("a", call.clone()).irreversible());
    let node = async || {
        let builder = Runtime::builder(&database.url).handlers(waits(&calls, &go)).definition(draft());
        builder.begin().await.unwrap()
    };
    let first = node().await;
    let mut sagas = Vec::new();
    for _ in 0..30 {
        sagas.push(first.start("waits", &json!({})).await.unwrap());
    }
    eventually("all places are taken", async || calls.load(Ordering::SeqCst) == 16).await;
    let sql = "select count(*) from amends.journal where kind = 'withdrawn'";
    let stopping = tokio::spawn(async move { first.stop(Duration::from_secs(20)).await });
    eventually("what waits is withdrawn", async || client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 14)
        .await;
    go.add_permits(sagas.len());
    stopping.await.unwrap().unwrap();
    let second = node().await;
    for saga in &sagas {
        assert_eq!(second.wait(*saga).await.unwrap().status, Status::Completed);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 30, "each was called once");
    second.stop(Duration::from_secs(5)).await.unwrap();
}

/// What the database refuses for good is refused once, whether the handler passes it on or keeps it to itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definite_error_is_not_repeated() {
    let (database, calls) = (Database::create().await, Arc::new(AtomicU32::new(0)));
    let sql = "create table effect (step text, key text); create table room (name text primary key);
               insert into room values ('17')";
    database.client().await.batch_execute(sql).await.unwrap();
    let counted = calls.clone();
    let handlers =
        Handlers::new().register_transactional("run", move |_: StepContext, database: Transaction, input: Value| {
            let calls = counted.clone();
            async move {
                calls.fetch_add(1, Ordering::SeqCst);
                let words = input["words"].as_str().unwrap_or_default().to_owned();
                let told = database.batch_execute(&words).await;
                match input["then"].as_str() {
                    Some("succeed") => {}
                    // What it meets then says only that the transaction has failed before.
                    Some("go on") => {
                        database.execute("insert into effect values ('a', 'k')", &[]).await?;
                    }
                    Some(_) | None => told?,
                }
                Ok::<_, Failure>(Value::Null)
            }
        });
    let many = Retry { attempts: 4, backoff_ms: 5, multiplier: 1.0, backoff_max_ms: 5, jitter: 0.0 };
    let call = Call::handler("run").transactional().retry(many);
    let runtime = Runtime::builder(&database.url)
        .handlers(handlers)
        .definition(Draft::new("runs").step(Step::new("a", call).irreversible()))
        .begin()
        .await
        .unwrap();
    for (words, expected) in [
        ("insert into room values ('17')", 1),
        ("select * from nowhere", 1),
        ("set role pg_monitor; select * from room", 1),
        ("do $$ begin raise exception using errcode = '40001'; end $$", 4),
        ("do $$ begin raise exception using errcode = '40P01'; end $$", 4),
        ("do $$ begin raise exception using errcode = '55P03'; end $$", 4),
    ] {
        for then in ["pass on", "succeed", "go on"] {
            calls.store(0, Ordering::SeqCst);
            let ended = runtime.run("runs", &json!({ "words": words, "then": then })).await.unwrap();
            let found = (ended.status, calls.load(Ordering::SeqCst));
            assert_eq!(found, (Status::Compensated, expected), "{words}, {then}");
        }
    }
    assert_eq!(effects(&database).await, Vec::<String>::new());
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}
