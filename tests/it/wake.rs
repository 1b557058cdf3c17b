//! `node.wake: listen`: a start or a request by SQL wakes a node at once. Owns that the poll is not what wakes it, that
//! nobody pays for notifications that nobody hears, and what becomes of a session that listens no more.

use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::{Builder, Runtime, Wake};
use amends::saga::definition::{Call, Draft, Step};
use amends::saga::state::Status;
use serde_json::Value;
use tokio_postgres::{AsyncMessage, Client};
use uuid::Uuid;

use crate::harness::{Database, eventually};

fn builder(url: &str, name: &str) -> Builder {
    let work = |_: StepContext, _: Value| async { Ok::<_, Failure>(Value::Null) };
    let step = || Step::new("work", Call::handler("work").idempotent()).irreversible();
    Runtime::builder(url)
        .name(name)
        .handlers(Handlers::new().register("work", work))
        .definition(Draft::new("plain").step(step()))
        .definition(Draft::new("in_turn").concurrency("input.guest").step(step()))
        .definition(Draft::new("waits").step(Step::awaiting("go", "go", None)).step(step().needs(["go"])))
}

/// A node that looks by itself only every ten minutes, after its first looks.
async fn slow_node(url: &str, name: &str, wake: Wake) -> Runtime {
    fail::cfg(format!("look pause of {name}"), "return(600000)").unwrap();
    builder(url, name).wake(wake).begin().await.unwrap()
}

async fn start(client: &Client, definition: &str) -> Uuid {
    client.query_one("select amends.start($1, '{\"guest\": \"ada\"}')", &[&definition]).await.unwrap().get(0)
}

async fn has_ended(client: &Client, saga: Uuid) -> bool {
    let sql = "select exists (select from amends.saga_done d where d.id = $1 and d.status = 'completed')";
    client.query_one(sql, &[&saga]).await.unwrap().get(0)
}

async fn ends(client: &Client, what: &str, saga: Uuid) {
    eventually(what, async || has_ended(client, saga).await).await;
}

/// Processes of the sessions that listen.
async fn sessions(client: &Client) -> Vec<i32> {
    let sql = "select pid from pg_stat_activity where query ~ 'listen amends_wake' and datname = current_database()
               and pid <> pg_backend_pid()";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn listeners(client: &Client) -> i64 {
    client.query_one("select count(*) from amends.listener", &[]).await.unwrap().get(0)
}

/// Waits until one session listens that is not `before`. It looks once more after that.
async fn listens_again(client: &Client, before: &[i32]) -> Vec<i32> {
    let is_new = |found: &[i32]| found.len() == 1 && found != before;
    eventually("a session listens", async || is_new(&sessions(client).await) && listeners(client).await == 1).await;
    sessions(client).await
}

async fn stop(node: Runtime) {
    node.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_or_a_signal_by_sql_wakes_a_node_that_listens() {
    let database = Database::create().await;
    let client = database.client().await;
    // A node that only polls does not see a start any more, so that what comes next proves something.
    let polls = slow_node(&database.url, "wake-polls", Wake::Poll).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let unseen = start(&client, "plain").await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(!has_ended(&client, unseen).await, "the node still polls");
    let listens = slow_node(&database.url, "wake-listens", Wake::Listen).await;
    let session = listens_again(&client, &[]).await;
    ends(&client, "a start from before is found as the node begins to listen", unseen).await;
    for _ in 0..5 {
        let saga = start(&client, "plain").await;
        ends(&client, "a start wakes the node", saga).await;
    }
    // A parked saga is woken by its ready row.
    let saga = start(&client, "waits").await;
    eventually("it is parked", async || {
        let sql = "select exists (select from amends.saga where id = $1 and lane is null and status = 'running')";
        client.query_one(sql, &[&saga]).await.unwrap().get(0)
    })
    .await;
    client.execute("select amends.signal($1, 'go', '{}')", &[&saga]).await.unwrap();
    ends(&client, "a signal wakes the node", saga).await;
    // A rerun waits for a node, and a saga that has lost its input for a person.
    let rerun: Uuid =
        client.query_one("select amends.rerun_from($1, 'work', 'a test')", &[&unseen]).await.unwrap().get(0);
    eventually("a rerun wakes the node", async || {
        let sql = "select fate is not null from amends.rerun where rerun = $1";
        client.query_one(sql, &[&rerun]).await.unwrap().get(0)
    })
    .await;
    let lost = "insert into amends.saga (id, definition, status, started_at)
                select amends.uuid7(), c.definition, 'queued', now() from amends.current_definition c
                where c.name = 'plain' returning id";
    let lost: Uuid = client.query_one(lost, &[]).await.unwrap().get(0);
    client.execute("select amends.restore_input($1, '{}', 'a test')", &[&lost]).await.unwrap();
    ends(&client, "a saga that gets its input back wakes the node", lost).await;
    let listed: bool =
        client.query_one("select listens from amends.nodes where name = 'wake-listens'", &[]).await.unwrap().get(0);
    assert!(listed);

    // A session that is lost comes back, and what was missed in between is found.
    client.execute("select pg_terminate_backend($1)", &[&session[0]]).await.unwrap();
    let missed = start(&client, "plain").await;
    listens_again(&client, &session).await;
    ends(&client, "what came in between is found", missed).await;
    let saga = start(&client, "plain").await;
    ends(&client, "it is woken as before", saga).await;
    stop(listens).await;
    assert_eq!(listeners(&client).await, 0);
    eventually("its session ends", async || sessions(&client).await.is_empty()).await;
    stop(polls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_for_its_turn_wakes_a_node_too() {
    let database = Database::create().await;
    let client = database.client().await;
    let node = builder(&database.url, "wake-turns").wake(Wake::Listen).begin().await.unwrap();
    listens_again(&client, &[]).await;
    for _ in 0..3 {
        let saga = start(&client, "in_turn").await;
        assert_eq!(node.wait(saga).await.unwrap().status, Status::Completed);
    }
    stop(node).await;
}

/// A session of the test that listens, as any client of Postgres could.
struct Ear {
    client: Client,
    payloads: tokio::sync::mpsc::UnboundedReceiver<String>,
}

impl Ear {
    async fn open(url: &str) -> Self {
        let (client, mut connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        let (hears, payloads) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(notification) = message {
                    // The test may be over.
                    let _ = hears.send(notification.payload().to_owned());
                }
            }
        });
        client.batch_execute("listen amends_wake").await.unwrap();
        Self { client, payloads }
    }

    /// How many notifications came since the last call. Notifications come in the order of the commits, so all others
    /// come before its own.
    async fn heard(&mut self) -> usize {
        self.client.batch_execute("notify amends_wake, 'last'").await.unwrap();
        let mut heard = 0;
        while self.payloads.recv().await.unwrap() != "last" {
            heard += 1;
        }
        heard
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_while_no_node_listens() {
    let database = Database::create().await;
    let (client, store) = (database.client().await, database.store().await);
    let node = builder(&database.url, "wake-alone").begin().await.unwrap();
    let mut ear = Ear::open(&database.url).await;
    let all_kinds = async || {
        let (saga, turn) = (start(&client, "waits").await, start(&client, "in_turn").await);
        client.execute("select amends.signal($1, 'go', '{}')", &[&saga]).await.unwrap();
        ends(&client, "the saga ends", saga).await;
        ends(&client, "the saga that waited for its turn ends", turn).await;
    };
    all_kinds().await;
    assert_eq!(ear.heard().await, 0);
    let member = store.join("ear", "test", 60_000).await.unwrap();
    store.put_listener(member).await.unwrap();
    all_kinds().await;
    assert_eq!(ear.heard().await, 4, "two starts, a turn and a signal");
    client.batch_execute("begin").await.unwrap();
    for _ in 0..10 {
        start(&client, "plain").await;
    }
    client.batch_execute("commit").await.unwrap();
    assert_eq!(ear.heard().await, 1, "one for the whole transaction");
    store.leave(member).await.unwrap();
    assert_eq!(listeners(&client).await, 0, "a node that leaves listens no more");
    all_kinds().await;
    assert_eq!(ear.heard().await, 0);
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_died_listens_no_more() {
    let database = Database::create().await;
    let (client, store) = (database.client().await, database.store().await);
    let dead = store.join("dead", "test", 2_000).await.unwrap();
    store.put_listener(dead).await.unwrap();
    assert_eq!(listeners(&client).await, 1);
    let node = builder(&database.url, "wake-sweeps").lease(Duration::from_secs(2)).begin().await.unwrap();
    eventually("the dead node is forgotten", async || listeners(&client).await == 0).await;
    stop(node).await;
}

/// What keeps a session from listening is noticed, and costs no saga anything. (Behind PgBouncer: see `pooler.rs`.)
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_listen_polls() {
    let database = Database::create().await;
    let client = database.client().await;
    let role = "create role wake_deaf login; grant amends_runtime to wake_deaf;
                revoke execute on function pg_catalog.pg_notify(text, text) from public";
    client.batch_execute(role).await.unwrap();
    let url = database.url.replace("postgres@", "wake_deaf@");
    let node = builder(&url, "wake-deaf").without_migration().wake(Wake::Listen).begin().await.unwrap();
    let saga = start(&client, "plain").await;
    assert_eq!(node.wait(saga).await.unwrap().status, Status::Completed);
    assert_eq!(listeners(&client).await, 0, "nobody pays for what the node does not hear");
    stop(node).await;
}
