//! A handler's transaction: its effect and the row of its success are there together or not at all.

mod session;
mod statements;

use std::sync::Arc;
use std::time::Duration;

use amends::step_transaction;
use amends::store::{LaneId, PostgresConfig, RolledBack, Store, Within, Written};
use tokio::time::sleep;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{Node, went_on};
use crate::harness::{cluster, eventually};
use crate::proxy::{Fault, Proxy};

/// A node on whose database handlers write into `effect`.
async fn node() -> Node {
    let node = Node::new().await;
    let sql = "create table effect (key text);
               create table room (name text primary key);
               create table stay (room text references room (name) deferrable initially deferred);";
    node.database.client().await.batch_execute(sql).await.unwrap();
    node
}

async fn count(node: &Node, table: &str) -> i64 {
    let sql = format!("select count(*) from {table}");
    node.database.client().await.query_one(&sql, &[]).await.unwrap().get(0)
}

async fn begin(store: &Store) -> Within {
    store.begin_within("saga/it's/action/0#1", 10_000).await.unwrap()
}

/// Begins a transaction and makes an effect in it.
async fn effect(store: &Store) -> Within {
    let within = begin(store).await;
    within.transaction().execute("insert into effect values ('k')", &[]).await.unwrap();
    within
}

/// Later than any of these tests.
fn late() -> impl Future<Output = ()> {
    sleep(Duration::from_secs(60))
}

/// At once.
async fn now() {}

async fn commit(node: &Node, within: Within, saga: Uuid, seq: i32) -> Result<Written, RolledBack> {
    let within = node.store.settle(within, late()).await?;
    node.store.commit_within(within, node.lane.id(), &went_on(saga, seq)).await
}

#[tokio::test]
async fn effect_and_row_are_there_together_or_not_at_all() {
    let mut node = node().await;
    let id = node.started(1).await[0];
    let within = effect(&node.store).await;
    assert_eq!((count(&node, "effect").await, count(&node, "amends.journal").await), (0, 1));
    assert_eq!(commit(&node, within, id, 2).await, Ok(Written::Accepted));
    assert_eq!((count(&node, "effect").await, count(&node, "amends.journal").await), (1, 2));

    let within = effect(&node.store).await;
    node.store.roll_back(within, late()).await.unwrap();
    drop(effect(&node.store).await);
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'";
    let client = node.database.client().await;
    eventually("the dropped transaction is gone", async || {
        client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
    assert_eq!((count(&node, "effect").await, count(&node, "amends.journal").await), (1, 2));
}

#[tokio::test]
async fn whoever_may_not_write_the_row_makes_no_effect() {
    let mut node = node().await;
    let id = node.started(1).await[0];
    // The row before it is not there, as on a standby that was promoted too early.
    assert_eq!(commit(&node, effect(&node.store).await, id, 3).await, Ok(Written::Refused));
    // Its place in the journal is taken.
    let within = effect(&node.store).await;
    node.lane.commit(&[went_on(id, 2)]).await.unwrap();
    assert_eq!(commit(&node, within, id, 2).await, Ok(Written::Refused));
    // The lane is dead.
    let within = effect(&node.store).await;
    let LaneId(lane) = node.lane.id();
    let client = node.database.client().await;
    client.execute("update amends.lane set live = false where id = $1", &[&lane]).await.unwrap();
    assert_eq!(commit(&node, within, id, 3).await, Ok(Written::Refused));
    assert_eq!((count(&node, "effect").await, count(&node, "amends.journal").await), (0, 2));
}

/// Whoever buries a lane waits for a transaction that is about to commit under it.
#[tokio::test]
async fn no_lane_dies_between_the_row_and_its_commit() {
    let mut node = node().await;
    let id = node.started(1).await[0];
    let LaneId(lane) = node.lane.id();
    let client = node.database.client().await;
    let (bury, here) = (client, std::thread::current().id());
    let burying = Arc::new(std::sync::Mutex::new(None));
    let (bury, slot) = (Arc::new(bury), burying.clone());
    let place = "transactional: committing";
    let callback = move || {
        if std::thread::current().id() == here && slot.lock().unwrap().is_none() {
            let bury = bury.clone();
            let buried = async move {
                bury.execute("update amends.lane set live = false where id = $1", &[&lane]).await.unwrap()
            };
            *slot.lock().unwrap() = Some(tokio::spawn(buried));
        }
    };
    let _turn = AT_PLACE.lock().await;
    fail::cfg_callback(place, callback).unwrap();
    let written = commit(&node, effect(&node.store).await, id, 2).await;
    fail::remove(place);
    assert_eq!(written, Ok(Written::Accepted));
    let buried = burying.lock().unwrap().take().unwrap();
    assert_eq!(buried.await.unwrap(), 1);
    assert_eq!((count(&node, "effect").await, count(&node, "amends.journal").await), (1, 2));
}

/// Tests that do something of their own at a place; there is one callback for each.
static AT_PLACE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_looked_up() {
    let mut node = node().await;
    let proxy = Arc::new(Proxy::before(cluster().port).await);
    let url = format!("{}?sslmode=disable", node.database.tcp_url("127.0.0.1", proxy.port));
    let store = Store::connect(PostgresConfig::parse(&url).unwrap()).await.unwrap();
    let ids = node.started(2).await;
    let _turn = AT_PLACE.lock().await;
    for (id, fault) in ids.into_iter().zip([Fault::LoseAnswer, Fault::LoseRequest]) {
        let within = store.settle(effect(&store).await, late()).await.unwrap();
        let (here, losing) = (std::thread::current().id(), proxy.clone());
        let callback = move || {
            if std::thread::current().id() == here {
                losing.next(fault);
            }
        };
        fail::cfg_callback("transactional: committing", callback).unwrap();
        let written = store.commit_within(within, node.lane.id(), &went_on(id, 2)).await;
        fail::remove("transactional: committing");
        assert!(proxy.is_spent(), "{fault:?}");
        let row = "select count(*) from amends.journal where id = $1 and seq = 2";
        let row: i64 = node.database.client().await.query_one(row, &[&id]).await.unwrap().get(0);
        match fault {
            Fault::LoseAnswer => assert_eq!((written, row), (Ok(Written::Accepted), 1)),
            _ => assert!(written.is_err_and(|rolled_back| rolled_back.retryable) && row == 0),
        }
        assert_eq!(count(&node, "effect").await, 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_handler_that_keeps_or_fails_its_transaction_is_told_so() {
    let mut node = node().await;
    let id = node.started(1).await[0];
    let within = effect(&node.store).await;
    let kept = within.transaction();
    let answer = commit(&node, within, id, 2).await;
    assert!(answer.is_err_and(|told| !told.retryable && told.message.contains("kept")));
    assert!(kept.execute("insert into effect values ('late')", &[]).await.is_err());
    // It has failed, and the handler did not notice: the same would fail again.
    let within = effect(&node.store).await;
    assert!(within.transaction().execute("select 1 / 0", &[]).await.is_err());
    let answer = commit(&node, within, id, 2).await;
    assert!(answer.is_err_and(|told| !told.retryable && told.message.contains("22012")));
    // What the constraints refuse at the end: the same would be refused again.
    let within = effect(&node.store).await;
    within.transaction().execute("insert into stay values ('no such room')", &[]).await.unwrap();
    let answer = commit(&node, within, id, 2).await;
    assert!(answer.is_err_and(|told| !told.retryable && told.message.contains("room")));
    assert_eq!((count(&node, "effect").await, count(&node, "amends.journal").await), (0, 1));
}

/// What ends a transaction, in the ways that there are, and whether it commits.
const ENDS: [(&str, bool); 8] = [
    ("commit", true),
    ("rollback", false),
    ("end", true),
    ("abort", false),
    ("commit; begin", true),
    ("rollback; begin; insert into effect values ('after')", false),
    ("commit and chain", true),
    ("select 1; -- and\n/* so on */ RollBack And Chain; insert into effect values ('after')", false),
];

#[tokio::test]
async fn a_handler_that_ends_its_transaction_is_refused() {
    let mut node = node().await;
    let id = node.started(1).await[0];
    let prepare = [("prepare transaction 'mine'", true)];
    for (number, (words, _)) in ENDS.into_iter().chain(prepare).enumerate() {
        let within = effect(&node.store).await;
        let transaction = within.transaction();
        let told = match number % 4 {
            0 => transaction.batch_execute(words).await.unwrap_err(),
            1 => transaction.simple_query(words).await.unwrap_err(),
            _ if words.contains(';') => transaction.batch_execute(words).await.unwrap_err(),
            2 => transaction.execute(words, &[]).await.unwrap_err(),
            _ => transaction.prepare(words).await.unwrap_err(),
        };
        assert_eq!(told.code().unwrap().code(), "2D000", "{words}");
        drop(transaction);
        let answer = match number % 2 {
            0 => commit(&node, within, id, 2).await.map(drop),
            _ => node.store.roll_back(within, late()).await,
        };
        assert_eq!(answer.unwrap_err().code, step_transaction::ENDED, "{words}");
    }
    let within = begin(&node.store).await;
    let words = "savepoint a; insert into effect values ('undone'); rollback to savepoint a; release a;
                 insert into effect values ('kept'); select 'commit; rollback'; -- commit";
    within.transaction().batch_execute(words).await.unwrap();
    assert_eq!(commit(&node, within, id, 2).await, Ok(Written::Accepted));
    assert_eq!((count(&node, "effect").await, count(&node, "amends.journal").await), (1, 2));
}

/// A library that is lent the client does what it likes. What it committed is noticed, whatever follows; that it rolled
/// back is noticed while the session answers; and afterwards nothing is written by accident.
#[tokio::test]
async fn a_transaction_that_ended_behind_the_handlers_back_is_noticed() {
    let mut node = node().await;
    let id = node.started(1).await[0];
    let terminate = "select pg_terminate_backend(pg_backend_pid())";
    for (number, (words, commits)) in ENDS.into_iter().enumerate() {
        for follows in ["select 1", "select 1 / 0", "begin; select 1 / 0", terminate] {
            let within = effect(&node.store).await;
            let transaction = within.transaction();
            let client: &Client = &transaction;
            client.batch_execute(words).await.ok();
            if !words.contains(';') && !words.contains("chain") {
                let written = client.execute("insert into effect values ('by itself')", &[]).await;
                assert_eq!(written.unwrap_err().code().unwrap().code(), "25006", "{words}");
            }
            client.batch_execute(follows).await.ok();
            drop(transaction);
            let answer = match number % 2 {
                0 => commit(&node, within, id, 2).await.map(drop),
                // There is no time left to ask.
                _ => node.store.roll_back(within, now()).await,
            };
            // A session that refused what came after the rollback has failed, and does not tell any more.
            let tells = follows == "select 1" && !words.contains("rollback; begin");
            let code = answer.as_ref().map_err(|told| told.code);
            if commits || tells {
                assert_eq!(code, Err(step_transaction::ENDED), "{words}, {follows}: {answer:?}");
            }
        }
    }
    assert_eq!(count(&node, "amends.journal").await, 1);
    let sql = "select count(*) from effect where key <> 'k'";
    let row = node.database.client().await.query_one(sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 0, "nothing was written after the end");
}

#[tokio::test]
async fn a_handler_works_in_a_session_of_its_own() {
    let mut node = node().await;
    let id = node.started(1).await[0];
    for seq in [2, 3] {
        let within = begin(&node.store).await;
        let session = within.transaction();
        let setting = async |name: &str| -> String {
            session.query_one("select current_setting($1)", &[&name]).await.unwrap().get(0)
        };
        // Neither ours nor the last handler's.
        assert_eq!(setting("enable_seqscan").await, "on");
        assert_eq!(setting("search_path").await, "\"$user\", public");
        session.batch_execute("set search_path = amends; create temp table mine ()").await.unwrap();
        drop(session);
        assert_eq!(commit(&node, within, id, seq).await, Ok(Written::Accepted));
    }
    let within = begin(&node.store).await;
    let isolation = "set transaction isolation level serializable; insert into effect values ('s')";
    within.transaction().batch_execute(isolation).await.unwrap();
    assert_eq!(commit(&node, within, id, 4).await, Ok(Written::Accepted));
}
