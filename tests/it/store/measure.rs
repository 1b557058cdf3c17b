//! What the database says of itself: the census, what waits, and the flow.

use amends::store::Passed;

use super::Node;
use crate::admin::ask;

#[tokio::test]
async fn one_census_a_minute_whoever_takes_it() {
    let mut node = Node::new().await;
    let ids = node.started(3).await;
    node.store.take_census().await.unwrap();
    let live = [("checkout".to_owned(), "running".to_owned(), 3)];
    assert_eq!(node.store.measure().await.unwrap().live, live);

    // It is fresh: nobody counts again.
    node.lane.commit(&[super::ended(ids[0], 2)]).await.unwrap();
    node.store.take_census().await.unwrap();
    assert_eq!(node.store.measure().await.unwrap().live, live);

    let older = "update amends.census set at = at - interval '2 min'";
    ask(&node.database.url, older).await;
    node.lane.commit(&[super::ended(ids[1], 2), super::ended(ids[2], 2)]).await.unwrap();
    node.store.take_census().await.unwrap();
    let none = [("checkout".to_owned(), "running".to_owned(), 0)];
    assert_eq!(node.store.measure().await.unwrap().live, none, "what is gone is counted as none");
}

#[tokio::test]
async fn what_waits_is_measured() {
    let node = Node::new().await;
    let quiet = node.store.measure().await.unwrap();
    assert_eq!(quiet.backlog, [("checkout".to_owned(), 0, 0.0)]);
    assert!(quiet.wal_bytes > 0 && quiet.timer_lag_s == 0.0);
    assert!(quiet.weeks_ahead >= 4 && quiet.days_ahead >= 7, "{quiet:?}");
    assert!(quiet.dead.iter().any(|(table, _)| table == "ready"), "{quiet:?}");

    let url = &node.database.url;
    ask(url, "select amends.start('checkout', '{}') from generate_series(1, 5)").await;
    ask(
        url,
        "update amends.start_queue set at = at - interval '1 min' where n = (select min(n) from amends.start_queue)",
    )
    .await;
    ask(url, "select amends.unqueue((select id from amends.start_queue order by n limit 1))").await;
    ask(url, "insert into amends.timer select amends.uuid7(), now() - interval '10 s'").await;
    let busy = node.store.measure().await.unwrap();
    let [(_, ready, oldest_s)] = &busy.backlog[..] else { panic!("{busy:?}") };
    assert_eq!(*ready, 5);
    assert!((60.0..120.0).contains(oldest_s), "{oldest_s}");
    assert!((10.0..60.0).contains(&busy.timer_lag_s), "{busy:?}");
}

#[tokio::test]
async fn the_flow_is_summed_by_minute_and_definition() {
    let node = Node::new().await;
    let passed = Passed { started: 3, completed: 2, stuck: 1, ..Passed::default() };
    for _ in 0..2 {
        node.store.record_passage(node.id, &[(node.definition, passed)]).await.unwrap();
    }
    let sql = "select definition, sum(started), sum(completed), sum(compensated), sum(stuck)
               from amends.throughput where minute > now() - interval '1 h' group by 1";
    assert_eq!(ask(&node.database.url, sql).await, "checkout|6|4|0|2");
    ask(&node.database.url, "update amends.passage set minute = minute - interval '25 h'").await;
    node.store.tidy().await.unwrap();
    assert_eq!(ask(&node.database.url, "select count(*) from amends.throughput").await, "0");
}
