//! How long sagas of a node that is killed stand still, with default settings. Owns the measure: from the kill to the
//! last row by which another owner takes one of them up, by the database's clock.

use std::time::Duration;

use super::HABITS;
use super::node::{Node, Order};
use crate::crash::ledger;
use crate::harness::{Database, eventually};

#[tokio::test]
async fn sagas_of_a_killed_node_go_on_within_ten_seconds() {
    let database = Database::create().await;
    let client = database.client().await;
    client.batch_execute(ledger::SQL).await.unwrap();
    let lease_ms = amends::config::actor::LEASE_MS;
    let order = |name: &str| Order {
        url: database.url.clone(),
        ledger_url: database.url.clone(),
        name: name.to_owned(),
        lease_ms,
    };
    let mut first = Node::start(&order("first"));
    let one = async |sql: &str| client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
    let registered = "select count(*) from amends.current_definition";
    eventually("definitions are there", async || {
        one(registered).await == i64::try_from(HABITS.drafts().len()).unwrap()
    })
    .await;
    client.query("select amends.start('slow', '{}') from generate_series(1, 60)", &[]).await.unwrap();
    let owned = "select count(*) from amends.saga where lane is not null";
    eventually("all are owned", async || one(owned).await == 60).await;
    let _second = Node::start(&order("second"));
    let nodes = "select count(*) from amends.node where gone_at is null";
    eventually("two nodes beat", async || one(nodes).await == 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let killed_at: f64 =
        client.query_one("select extract(epoch from clock_timestamp())::float8", &[]).await.unwrap().get(0);
    first.kill();
    let taken = "select count(*) from amends.saga g join amends.lane l on l.id = g.lane
        join amends.node n on n.id = l.node where n.name = 'first'";
    eventually("nothing is the dead node's", async || one(taken).await == 0).await;
    eventually("all was taken up", async || {
        one("select count(*) from amends.saga where lane is null").await == 0
    })
    .await;
    let sql =
        "select extract(epoch from max(j.at))::float8 from amends.journal j where j.kind = 'owner_lost'";
    eventually("their owners are lost", async || {
        one("select count(*) from amends.journal where kind = 'owner_lost'").await > 0
    })
    .await;
    let last: f64 = client.query_one(sql, &[]).await.unwrap().get(0);
    println!("{:.1} s after the kill the last of 60 sagas was taken up", last - killed_at);
    assert!(last - killed_at < 10.0, "{:.1} s", last - killed_at);
}
