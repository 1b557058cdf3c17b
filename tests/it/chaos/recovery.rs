//! How long sagas of a node that is killed stand still, with default settings. Owns the measure: from the kill to the
//! moment at which a participant is called for the last of them by another node, by the ledger's own clock.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::drafts;
use super::node::{Node, Order};
use crate::crash::ledger;
use crate::harness::{Database, eventually};

/// Sagas of the node that is killed, each in the midst of a call.
const SAGAS: i64 = 60;
/// What takes longer between two looks is a machine that has no time for us, nor for the nodes.
const LOOK_MAX: Duration = Duration::from_millis(50);

#[tokio::test]
async fn sagas_of_a_killed_node_go_on_within_ten_seconds() {
    let database = Database::create().await;
    let client = database.client().await;
    client.batch_execute(ledger::SQL).await.unwrap();
    let order = |name: &str| Order {
        url: database.url.clone(),
        // Their calls tell whose they are.
        ledger_url: format!("{}?application_name={name}", database.url),
        // No saga of this test calls them.
        participants_port: 9,
        name: name.to_owned(),
        lease_ms: amends::config::actor::LEASE_MS,
    };
    let one = async |sql: &str| client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
    let mut first = Node::start(&order("first"));
    let registered = "select count(*) from amends.current_definition";
    let definitions = i64::try_from(drafts().len()).unwrap();
    eventually("definitions are there", async || one(registered).await == definitions).await;
    let start = "select amends.start('held', '{}') from generate_series(1, $1::bigint)";
    client.query(start, &[&SAGAS]).await.unwrap();
    let called = "select count(distinct saga) from ledger.seen where node = 'first'";
    eventually("a call of each is under way", async || one(called).await == SAGAS).await;
    let _second = Node::start(&order("second"));
    let nodes = "select count(*) from amends.node where gone_at is null";
    eventually("two nodes beat", async || one(nodes).await == 2).await;
    let now = "select extract(epoch from clock_timestamp())::float8";
    let killed_at: f64 = client.query_one(now, &[]).await.unwrap().get(0);
    first.kill();
    let owned = "select g.id::text from amends.saga g join amends.lane l on l.id = g.lane
        join amends.node n on n.id = l.node where n.name = 'first'";
    let owned: BTreeSet<String> = client.query(owned, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(owned.len() as i64, SAGAS, "sagas that the dead node owned");
    let taken_up = "select saga, extract(epoch from min(at))::float8 from ledger.seen where node = 'second' group by 1";
    let (mut last, mut looked, mut stood_still) = (0.0, Instant::now(), Duration::ZERO);
    eventually("another node calls for each of them", async || {
        stood_still += looked.elapsed().saturating_sub(LOOK_MAX);
        looked = Instant::now();
        let calls = client.query(taken_up, &[]).await.unwrap();
        last = calls.iter().map(|row| row.get::<_, f64>(1)).fold(0.0, f64::max);
        calls.iter().map(|row| row.get::<_, String>(0)).collect::<BTreeSet<_>>() == owned
    })
    .await;
    let took = last - killed_at;
    println!("{took:.1} s after the kill the last of {SAGAS} sagas was taken up, the machine busy for {stood_still:?}");
    assert!(took < 10.0 + stood_still.as_secs_f64(), "{took:.1} s");
}
