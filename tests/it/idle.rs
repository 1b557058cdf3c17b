//! What a fleet costs while it has nothing to do, and which node does the chores that one node does for all.

use std::time::{Duration, Instant};

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Step};
use amends::saga::state::Status;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::harness::{Cluster, Database, eventually};

/// Chores of the fleet.
const CHORES: usize = 9;

async fn node(url: &str, name: &str) -> Runtime {
    let work = |_: StepContext, _: Value| async { Ok::<_, Failure>(Value::Null) };
    let step = || Step::new("work", Call::handler("work").idempotent()).irreversible();
    Runtime::builder(url)
        .name(name)
        .lanes(3)
        .handlers(Handlers::new().register("work", work))
        .definition(Draft::new("plain").step(step()))
        .definition(Draft::new("in_turn").concurrency("input.guest").step(step()))
        .definition(Draft::new("later").step(Step::sleeping("nap", 11_000)).step(step().needs(["nap"])))
        .begin()
        .await
        .unwrap()
}

/// The next transaction id. Asking takes none.
async fn next_id(client: &Client) -> i64 {
    let sql = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

async fn holders(client: &Client) -> Vec<i64> {
    let sql = "select node from amends.chores where held order by chore";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// A look that finds nothing takes no transaction id: what is left are heartbeats, and the leases of the chores for the
/// whole fleet. (Before, each poll of each lane took one: 40 a second for these nodes.) Connections that do nothing are
/// closed.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_fleet_takes_few_transaction_ids_and_few_connections() {
    const NODES: i64 = 3;
    let cluster = Cluster::start("idle", false);
    cluster.ready().await;
    let url = cluster.url("postgres");
    let first = node(&url, "first").await;
    let others = [node(&url, "second").await, node(&url, "third").await];
    let client = crate::harness::connect(&url).await;
    // What autovacuum writes does not count.
    client.batch_execute("alter system set autovacuum = off").await.unwrap();
    client.batch_execute("select pg_reload_conf()").await.unwrap();
    assert_eq!(first.run("plain", &json!({})).await.unwrap().status, Status::Completed);
    eventually("the nodes know each other as peers", async || {
        let sql = "select count(*) from amends.node where gone_at is null group by claims";
        client.query(sql, &[]).await.unwrap().iter().map(|row| row.get::<_, i64>(0)).eq([NODES])
    })
    .await;
    eventually("each chore has a node", async || holders(&client).await.len() == CHORES).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (before, began) = (next_id(&client).await, Instant::now());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (taken, seconds) = (next_id(&client).await - before, began.elapsed().as_secs_f64());
    let beats = (NODES as f64 * (seconds + 1.0)).ceil() as i64;
    // Leases are renewed every two to four seconds. The rest is what is measured now and then.
    let most = beats + (seconds / 2.0).ceil() as i64 + 3 * NODES + 10;
    println!("{taken} transaction ids in {seconds:.1} s, {beats} of them for heartbeats");
    assert!(taken <= most, "{taken} transaction ids in {seconds:.1} s, expected {most} at most");
    // Lanes close the connections that they do not need, and so do the pools.
    let of_lanes = "select count(*) from pg_stat_activity where query ~ 'from amends.lane l where l.id = .1::bigint'
                    and pid <> pg_backend_pid()";
    let of_nodes =
        "select count(*) from pg_stat_activity where application_name = 'amends' and pid <> pg_backend_pid()";
    for (sql, most) in [(of_lanes, 0), (of_nodes, 4 * NODES)] {
        eventually("connections that do nothing are closed", async || {
            client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) <= most
        })
        .await;
    }
    assert_eq!(first.run("plain", &json!({})).await.unwrap().status, Status::Completed);
    for node in others.into_iter().chain([first]) {
        node.stop(Duration::from_secs(5)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chores_of_a_node_that_died_are_taken_by_another() {
    let database = Database::create().await;
    let client = database.client().await;
    let store = database.store().await;
    // A process that dies right after it has taken every chore.
    let dead = store.join("dead", "test", 2_000).await.unwrap();
    let sql = "insert into amends.chore select unnest(array['timers', 'sweep', 'orphans', 'turns', 'outbox', 'census',
                   'retention', 'compaction', 'safety_net']), $1, now() + interval '3 s'";
    client.execute(sql, &[&dead.0]).await.unwrap();
    let node = node(&database.url, "alive").await;
    // It parks, and only the chore `timers` wakes it.
    let saga = node.start("later", &json!({})).await.unwrap();
    let waits = node.start("in_turn", &json!({ "guest": "ada" })).await.unwrap();
    eventually("it is parked", async || {
        let row = store.saga(saga).await.unwrap().unwrap();
        row.lane.is_none() && row.wake_at.is_some()
    })
    .await;
    for saga in [waits, saga] {
        assert_eq!(node.wait(saga).await.unwrap().status, Status::Completed);
    }
    let holders = holders(&client).await;
    assert!(holders.len() == CHORES && !holders.contains(&dead.0), "{holders:?}");
    // In an orderly stop they are free at once.
    node.stop(Duration::from_secs(5)).await.unwrap();
    assert_eq!(self::holders(&client).await, [0_i64; 0]);
}
