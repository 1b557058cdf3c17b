//! Compaction: dead rows go although somebody holds an old snapshot, and nothing else does.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use amends::store::{Compacted, PostgresConfig, Sources, Store};
use tokio_postgres::Client;
use uuid::Uuid;

use super::{Node, ended, started, waiting};
use crate::admin::{ask, psql};
use crate::harness::{Database, die_with_parent, eventually, in_its_own_process};

const URL: &str = "AMENDS_COMPACTS_AND_STOPS";

/// As many rows as that come and go in `saga`, and vacuum comes to them.
async fn crowd(node: &Node, rows: u32) {
    let url = &node.database.url;
    let sql = format!(
        "insert into amends.saga (id, started_at, definition, status)
         select amends.uuid7(), now(), 1, 'gone' from generate_series(1, {rows})"
    );
    ask(url, &sql).await;
    ask(url, "delete from amends.saga where status = 'gone'").await;
    ask(url, "vacuum amends.saga").await;
}

async fn sagas(client: &Client) -> BTreeSet<Uuid> {
    client.query("select id from amends.saga", &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn dead_rows_go_under_a_held_snapshot_and_live_ones_stay_for_everybody() {
    let mut node = Node::new().await;
    let mut lives: BTreeSet<Uuid> = node.started(30).await.into_iter().collect();
    let holder = node.database.held_snapshot().await;
    crowd(&node, 20_000).await;
    let young: Vec<Uuid> = node.started(3).await;
    lives.extend(&young);

    let Compacted { before, after } = node.store.compact("saga").await.unwrap().expect("it is rewritten");
    assert!(before > 1 << 20 && after <= 8_192, "{before} {after}");
    assert_eq!(sagas(&node.database.client().await).await, lives);
    // The old snapshot would see none, were it not for FREEZE; what is younger than it comes along.
    assert_eq!(sagas(&holder).await, lives);
    let plan = "set enable_seqscan = off; select count(*) from amends.saga where lane = ";
    let lane = format!("{plan}{}", node.lane.id().0);
    assert_eq!(ask(&node.database.url, &lane).await, "33", "by the index");

    // What is written goes on as if nothing had been.
    let rows: Vec<_> = young.iter().map(|id| ended(*id, 2)).collect();
    node.lane.commit(&rows).await.unwrap();
    assert_eq!(sagas(&node.database.client().await).await.len(), 30);
    assert_eq!(node.store.compact("saga").await.unwrap(), None, "it is small already");
    drop(holder);
}

#[tokio::test]
async fn every_table_whose_rows_come_and_go_can_be_written_anew() {
    let mut node = Node::new().await;
    let url = node.database.url.clone();
    let _holder = node.database.held_snapshot().await;
    for (table, columns, values) in [
        ("inbox", "(lane, id, definition)", "1, amends.uuid7(), 1"),
        ("outbox", "(id, seq, at, body)", "amends.uuid7(), g, now(), 'a body of an event that somebody waits for'"),
        ("ready", "(definition, id, input)", "-1, amends.uuid7(), '{\"input\":\"of a saga\"}'"),
        ("start_queue", "(definition, id, input)", "-1, amends.uuid7(), '{\"input\":\"of a saga\"}'"),
        ("timer", "(id, fire_at)", "amends.uuid7(), 'infinity'"),
    ] {
        let insert =
            |count| format!("insert into amends.{table} {columns} select {values} from generate_series(1, {count}) g");
        ask(&url, &insert(25_000)).await;
        ask(&url, &format!("delete from amends.{table}")).await;
        ask(&url, &insert(7)).await;
        let all = format!("select md5(string_agg(t::text, ' ' order by t::text)) from amends.{table} t");
        let before = ask(&url, &all).await;
        let done = node.store.compact(table).await.unwrap().unwrap_or_else(|| panic!("{table} is not rewritten"));
        assert!(done.after <= 8_192, "{table}: {done:?}");
        assert_eq!(ask(&url, &all).await, before, "{table}");
        ask(&url, &insert(1)).await;
        assert_eq!(ask(&url, &format!("select count(*) from amends.{table}")).await, "8", "numbers go on");
        ask(&url, &format!("delete from amends.{table}")).await;
    }
    let saga: Uuid = ask(&url, "select amends.start('checkout', '{}')").await.parse().unwrap();
    assert_eq!(node.claim_all().await, [saga]);
    let publish = "create publication p for table amends.timer with (publish = 'insert, delete')";
    assert!(node.store.count_rows().await.unwrap().iter().any(|one| one.table == "timer"));
    ask(&url, publish).await;
    assert!(node.store.count_rows().await.unwrap().iter().all(|one| one.table != "timer"));
    let other = node.store.compact("journal").await.unwrap_err().to_string();
    assert!(other.contains("inbox") && other.contains("journal"), "{other}");
}

#[tokio::test]
async fn a_table_in_use_or_with_much_to_keep_is_left_alone() {
    let mut node = Node::new().await;
    let lives = node.started(2).await.len();
    let _holder = node.database.held_snapshot().await;
    crowd(&node, 20_000).await;
    // An application has asked something of a saga in a transaction that it leaves open.
    let application = node.database.client().await;
    let touch = "select amends.request((select id from amends.saga limit 1), '\"touch\"')";
    application.batch_execute(&format!("begin; {touch}")).await.unwrap();
    assert_eq!(node.store.compact("saga").await.unwrap(), None);
    let client = node.database.client().await;
    assert_eq!(sagas(&client).await.len(), lives);
    application.batch_execute("commit").await.unwrap();
    assert!(node.store.compact("saga").await.unwrap().is_some());
    assert_eq!(sagas(&client).await.len(), lives);

    let many = "insert into amends.saga (id, started_at, definition, status, attention)
                select amends.uuid7(), now(), 1, 'stuck', repeat('x', 500) from generate_series(1, 10000)";
    ask(&node.database.url, many).await;
    assert_eq!(node.store.compact("saga").await.unwrap(), None);
    assert_eq!(sagas(&client).await.len(), lives + 10_000);
}

/// Not a test but a process that compacts and never sends the rows back, when a test has started this binary for it.
#[test]
fn child_process_entry() {
    let Ok(url) = std::env::var(URL) else { return };
    die_with_parent();
    fail::cfg("compact: copying", "pause").unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = Store::connect(PostgresConfig::parse(&url).unwrap()).await.unwrap();
        store.compact("saga").await.unwrap();
    });
}

/// Within a COPY the server heeds no time limit of its own.
#[tokio::test]
async fn who_stops_in_the_midst_stops_nobody_else() {
    let mut node = Node::new().await;
    node.started(5).await;
    let _holder = node.database.held_snapshot().await;
    crowd(&node, 20_000).await;
    let mut child =
        in_its_own_process("store::compact::child_process_entry").env(URL, &node.database.url).spawn().unwrap();
    let locks = "select count(*) from pg_locks where relation = 'amends.saga'::regclass and granted
                 and mode = 'AccessExclusiveLock'";
    eventually("the table is locked", async || ask(&node.database.url, locks).await == "1").await;
    eventually("the server has ended it", async || ask(&node.database.url, locks).await == "0").await;
    assert!(child.try_wait().unwrap().is_none(), "it stands there still");
    assert_eq!(sagas(&node.database.client().await).await.len(), 5);
    assert!(node.store.compact("saga").await.unwrap().is_some(), "the next one is not kept from it");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Who isolates a transaction would mix rows of before and after; Postgres' own error tells it to begin anew.
#[tokio::test]
async fn an_isolated_transaction_from_before_asks_for_nothing() {
    let mut node = Node::new().await;
    for isolation in ["repeatable read", "serializable"] {
        let [saga, gone] = node.started(2).await[..] else { panic!("two") };
        let old = node.database.client().await;
        let begin = format!("begin isolation level {isolation}; select count(*) from pg_class");
        old.batch_execute(&begin).await.unwrap();
        crowd(&node, 20_000).await;
        if isolation == "serializable" {
            node.lane.commit(&[ended(gone, 2)]).await.unwrap();
        }
        assert!(node.store.compact("saga").await.unwrap().is_some());
        for asked in [
            format!("select amends.cancel('{saga}', 'x')"),
            format!("select amends.cancel('{gone}', 'x')"),
            "select amends.bulk('pause', 'checkout', 'x', 'running')".to_owned(),
            format!("select amends.rerun_from('{saga}', 'x', 'x')"),
        ] {
            old.batch_execute("savepoint here").await.unwrap();
            let refused = old.batch_execute(&asked).await.unwrap_err();
            let code = refused.code().map(tokio_postgres::error::SqlState::code);
            assert_eq!(code, Some("40001"), "{asked}: {refused:?}");
            old.batch_execute("rollback to here").await.unwrap();
        }
        // One that begins now may.
        let cancel = format!("begin isolation level {isolation}; select amends.cancel('{saga}', 'x'); commit");
        let said = psql(&node.database.url, &cancel).await;
        assert!(said.ok, "{}", said.errors);
    }
}

/// A database may isolate its sessions more than is good for statements that wait for locks.
#[tokio::test]
async fn our_sessions_look_after_they_have_waited() {
    let database = Database::create().await;
    let alter = format!("alter database {} set default_transaction_isolation = serializable", database.name);
    ask(&database.url, &alter).await;
    let mut node = Node::on(database).await;
    // The claim waits for the table while a start comes in.
    let mut blocker = node.database.client().await;
    let transaction = blocker.transaction().await.unwrap();
    transaction.batch_execute("lock table amends.start_queue in access exclusive mode").await.unwrap();
    let observer = node.database.client().await;
    let definition = node.definition;
    let claim = node.lane.claim(Sources::ALL, 10, std::slice::from_ref(&definition));
    let rest = async {
        eventually("the claim waits", async || waiting(&observer, "-- Takes up to").await > 0).await;
        let start = "select amends.start('checkout', '{}')::text";
        let saga: String = transaction.query_one(start, &[]).await.unwrap().get(0);
        transaction.commit().await.unwrap();
        saga
    };
    let (claimed, saga) = tokio::join!(claim, rest);
    let claimed: Vec<String> = claimed.unwrap().sagas.iter().map(|one| one.id.to_string()).collect();
    assert_eq!(claimed, [saga]);
}

/// Two lanes start and end sagas, applications start others, a third lane claims these; all the while `saga` and
/// `start_queue` are written anew. Each saga is where it must be.
#[tokio::test]
async fn nothing_is_lost_between_writers_and_rewritings() {
    let node = Node::new().await;
    let holder = node.database.held_snapshot().await;
    let done = AtomicBool::new(false);
    let write = async || {
        let mut lane = node.database.lane(node.id).await;
        let mut open = 0;
        while !done.load(Ordering::Relaxed) {
            let batch: Vec<_> = (0..500).map(|_| started(node.definition)).collect();
            lane.commit(&batch).await.unwrap();
            // One of each batch stays.
            let ends: Vec<_> = batch[1..].iter().map(|row| ended(row.id, 2)).collect();
            let written = lane.commit(&ends).await.unwrap();
            assert!(written.iter().all(|one| *one == amends::store::Written::Accepted), "{written:?}");
            open += 1;
        }
        open
    };
    let start = async || {
        let client = node.database.client().await;
        let sql = "select amends.start('checkout', '{}') from generate_series(1, 500)";
        let mut count = 0;
        while !done.load(Ordering::Relaxed) {
            count += client.query(sql, &[]).await.unwrap().len();
        }
        count
    };
    let claim = async || {
        let mut lane = node.database.lane(node.id).await;
        let mut ids = BTreeSet::new();
        loop {
            let is_last = done.load(Ordering::Relaxed);
            let claimed = lane.claim(Sources::ALL, 500, &[node.definition]).await.unwrap().sagas;
            if is_last && claimed.is_empty() {
                return ids.len();
            }
            let ends: Vec<_> = claimed.iter().map(|saga| ended(saga.id, 2)).collect();
            ids.extend(claimed.iter().map(|saga| saga.id));
            lane.commit(&ends).await.unwrap();
        }
    };
    let rewrite = async || {
        let mut times = [0; 2];
        eventually("both tables are written anew twice", async || {
            for (table, times) in ["saga", "start_queue"].into_iter().zip(&mut times) {
                *times += u32::from(node.store.compact(table).await.unwrap().is_some());
            }
            times.iter().all(|times| *times >= 2)
        })
        .await;
        done.store(true, Ordering::Relaxed);
    };
    let (one, two, outside, claimed, ()) = tokio::join!(write(), write(), start(), claim(), rewrite());
    // The claimer may have looked for the last time just before the last start.
    let mut node = node;
    let rest = node.claim_all().await.len();
    assert_eq!(claimed + rest, outside, "each start is claimed once");
    let open = sagas(&node.database.client().await).await.len();
    assert_eq!(open, one + two + rest, "what has not ended is there, and what has ended is not");
    assert_eq!(ask(&node.database.url, "select count(*) from amends.start_queue").await, "0");
    drop(holder);
}
