//! Calls that are given up, by an operator or by a node that stops, while their handler works in its transaction: what
//! is rolled back is made again, and what may have been committed is not.

use std::pin::Pin;
use std::sync::{Mutex, mpsc};

use futures_util::TryStreamExt as _;
use tokio_postgres::{Client, RowStream};

use super::*;

/// What the scenes share with their handler.
#[derive(Default)]
struct Stage {
    /// Handlers that have come so far that they hang.
    hanging: AtomicU32,
    /// Results that are left unread.
    unread: Mutex<Vec<Pin<Box<RowStream>>>>,
    /// Holds a thread until its sender is gone.
    blocked: Mutex<Option<mpsc::Receiver<()>>>,
}

/// Writes an effect, sends what the input says as a library would that is lent the client, and then does not end in one
/// of many ways; what is called again succeeds.
fn actors(stage: &Arc<Stage>) -> Handlers {
    let stage = stage.clone();
    let play = move |context: StepContext, database: Transaction, input: Value| {
        let stage = stage.clone();
        async move {
            let key = context.key().to_owned();
            database.execute("insert into effect values ('a', $1)", &[&key]).await?;
            if context.attempt() > 1 {
                return Ok::<_, Failure>(Value::Null);
            }
            let lent: &Client = &database;
            lent.batch_execute(input["says"].as_str().unwrap_or_default()).await?;
            let then = input["then"].as_str();
            if then == Some("leave unread") {
                let rows = "select repeat('x', 1000), generate_series(1, 10000000)";
                let mut stream = Box::pin(lent.query_raw(rows, Vec::<String>::new()).await?);
                stream.try_next().await?;
                stage.unread.lock().unwrap().push(stream);
            }
            stage.hanging.fetch_add(1, Ordering::SeqCst);
            match then {
                Some("run") => lent.batch_execute("select pg_sleep(600)").await?,
                Some("put off") => {
                    return Ok(json!(database.execute("insert into slow values (1)", &[]).await?));
                }
                Some("block") => {
                    let blocked = stage.blocked.lock().unwrap().take();
                    tokio::task::block_in_place(|| blocked.map(|gone| gone.recv()));
                }
                Some(_) | None => {}
            }
            std::future::pending().await
        }
    };
    Handlers::new().register_transactional("play", play)
}

/// A database with the tables of the scenes.
async fn database() -> Database {
    let database = Database::create().await;
    let sql = "create table effect (step text, key text);
               create table slow (number int);
               create function wait() returns trigger language plpgsql as
                   $$ begin perform pg_sleep(600); return null; end $$;
               create constraint trigger wait after insert on slow deferrable initially deferred
                   for each row execute function wait()";
    database.client().await.batch_execute(sql).await.unwrap();
    database
}

async fn node(database: &Database, stage: &Arc<Stage>) -> Runtime {
    let retry = Retry { attempts: 3, backoff_ms: 5, multiplier: 1.0, backoff_max_ms: 5, jitter: 0.0 };
    let call = Call::handler("play").transactional().retry(retry).timeout_ms(600_000);
    let draft = Draft::new("plays").step(Step::new("a", call).irreversible());
    Runtime::builder(&database.url).handlers(actors(stage)).definition(draft).begin().await.unwrap()
}

/// Starts sagas, waits until all of them hang, gives them up in this way, and returns them with the node that has them
/// then.
async fn given_up(database: &Database, stage: &Arc<Stage>, by: &str, scenes: &[(&str, &str)]) -> (Vec<Uuid>, Runtime) {
    let (mut runtime, client) = (node(database, stage).await, database.client().await);
    let mut sagas = Vec::new();
    for (says, then) in scenes {
        sagas.push(runtime.start("plays", &json!({ "says": says, "then": then })).await.unwrap());
    }
    eventually("all of them hang", async || stage.hanging.load(Ordering::SeqCst) as usize == sagas.len()).await;
    if by == "stop" {
        runtime.stop(Duration::from_millis(100)).await.unwrap();
        runtime = node(database, stage).await;
    } else {
        for saga in &sagas {
            client.query("select amends.evict($1, 'it hangs')", &[saga]).await.unwrap();
        }
    }
    (sagas, runtime)
}

/// How often a saga's handler was called, as the journal has it, and whether a node was taken for dead over it.
async fn called(client: &Client, saga: Uuid) -> (i64, bool) {
    let sql = "select count(*) filter (where kind = 'attempt_ended'), bool_or(kind = 'owner_lost')
               from amends.journal where id = $1";
    let row = client.query_one(sql, &[&saga]).await.unwrap();
    (row.get(0), row.get(1))
}

const STUCK: &str = "action in_doubt transaction_ended: cancel, pause, abandon, resolve a applied, resolve a absent";

/// What was committed stays, so it is not made again, whatever the handler does afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_ended_its_transaction_and_hangs_is_not_made_again() {
    let ends =
        ["commit", "rollback", "commit; begin", "commit and chain", "commit; reset all", "commit; reset all; begin"];
    let scenes: Vec<_> = ends.iter().flat_map(|says| [(*says, "hang"), (*says, "run")]).collect();
    for by in ["evict", "stop"] {
        let (database, stage) = (database().await, Arc::default());
        let (sagas, runtime) = given_up(&database, &stage, by, &scenes).await;
        let client = database.client().await;
        for (saga, scene) in sagas.iter().zip(&scenes) {
            assert_eq!(stuck(&client, *saga).await, STUCK, "{by}, {scene:?}");
            assert_eq!(called(&client, *saga).await, (1, false), "{by}, {scene:?}");
        }
        // Those that rolled back left nothing.
        assert_eq!((effects(&database).await.len(), stage.hanging.load(Ordering::SeqCst)), (10, 12), "{by}");
        runtime.stop(Duration::from_secs(5)).await.unwrap();
    }
}

/// A statement that runs, or what the handler has put off, holds nothing up: it is ended, nothing is in doubt, and the
/// call is made again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_left_its_transaction_alone_is_made_again() {
    let scenes = [("", "hang"), ("", "run"), ("", "put off"), ("savepoint a; rollback to a", "run")];
    for by in ["evict", "stop"] {
        let (database, stage) = (database().await, Arc::default());
        let (sagas, runtime) = given_up(&database, &stage, by, &scenes).await;
        let client = database.client().await;
        for (saga, scene) in sagas.iter().zip(&scenes) {
            assert_eq!(runtime.wait(*saga).await.unwrap().status, Status::Completed, "{by}, {scene:?}");
            assert_eq!(called(&client, *saga).await, (2, false), "{by}, {scene:?}");
        }
        assert_eq!(effects(&database).await.len(), scenes.len(), "{by}");
        runtime.stop(Duration::from_secs(5)).await.unwrap();
    }
}

/// Where the session cannot be asked in time, or the handler does not even let go of its thread, it is not known what
/// was committed: a person looks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_cannot_be_asked_is_not_made_again() {
    let (database, stage): (_, Arc<Stage>) = (database().await, Arc::default());
    let (held, blocked) = mpsc::channel();
    *stage.blocked.lock().unwrap() = Some(blocked);
    // The session reports nothing any more after it was reset.
    let scenes = [("commit; reset all", "leave unread"), ("commit; reset all", "block")];
    let (sagas, runtime) = given_up(&database, &stage, "evict", &scenes).await;
    let client = database.client().await;
    for (saga, scene) in sagas.iter().zip(&scenes) {
        assert_eq!(stuck(&client, *saga).await, STUCK, "{scene:?}");
        assert_eq!(called(&client, *saga).await, (1, false), "{scene:?}");
        let sql = "select body from amends.journal where id = $1 and kind = 'attempt_ended'";
        let body: String = client.query_one(sql, &[saga]).await.unwrap().get(0);
        assert!(body.contains("it is not known whether its handler ended its transaction"), "{scene:?}: {body}");
    }
    drop(held);
    assert_eq!((effects(&database).await.len(), stage.hanging.load(Ordering::SeqCst)), (2, 2));
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

/// An operator or a node that stops gives a call up: its transaction is rolled back, nothing is in
/// doubt, and the call is made again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_given_up_is_rolled_back_and_made_again() {
    let (database, calls) = (Database::create().await, Arc::default());
    let client = database.client().await;
    client.batch_execute("create table effect (step text, key text)").await.unwrap();
    let retry = Retry { attempts: 3, backoff_ms: 5, multiplier: 1.0, backoff_max_ms: 5, jitter: 0.0 };
    let call = |name: &str| Call::handler(name).transactional().retry(retry.clone()).timeout_ms(60_000);
    let draft = || Draft::new("hangs").step(Step::new("a", call("effect")).compensation(call("undo")));
    let node = async || {
        let builder = Runtime::builder(&database.url).handlers(handlers(&calls)).definition(draft());
        builder.begin().await.unwrap()
    };
    let first = node().await;
    let saga = first.start("hangs", &json!({ "does": ["hang", "hang", "ok"] })).await.unwrap();
    eventually("it hangs", async || calls.load(Ordering::SeqCst) == 1).await;
    client.query("select amends.evict($1, 'it hangs')", &[&saga]).await.unwrap();
    eventually("it is called again", async || calls.load(Ordering::SeqCst) == 2).await;
    first.stop(Duration::from_millis(100)).await.unwrap();
    let second = node().await;
    assert_eq!(second.wait(saga).await.unwrap().status, Status::Completed);
    assert_eq!((calls.load(Ordering::SeqCst), effects(&database).await), (3, vec!["a".into()]));
    second.stop(Duration::from_secs(5)).await.unwrap();
}
