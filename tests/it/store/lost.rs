//! Lost connections, lost answers, crashed and promoted servers.

use std::time::Duration;

use amends::saga::event::Request;
use amends::store::{Error, Lane, Parking, PostgresConfig, Sources, Store, Transition, Written};

use super::{Node, ended, json, keyed, started, went_on};
use crate::harness::{Cluster, cluster, eventually};
use crate::proxy::{Fault, Proxy};

/// A node whose lane speaks through a proxy.
async fn behind_a_proxy() -> (Node, Proxy) {
    let mut node = Node::new().await;
    let proxy = Proxy::before(cluster().port).await;
    let url = format!("{}?sslmode=disable", node.database.tcp_url("127.0.0.1", proxy.port));
    node.lane = Lane::open(&PostgresConfig::parse(&url).unwrap(), node.id).await.unwrap();
    (node, proxy)
}

async fn count(node: &Node, table: &str) -> i64 {
    let sql = format!("select count(*) from amends.{table}");
    node.database.client().await.query_one(&sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_resolved_from_the_journal() {
    for fault in [Fault::LoseAnswer, Fault::LoseRequest] {
        let (mut node, proxy) = behind_a_proxy().await;
        let ids = node.started(2).await;
        let told = Transition { outbox: Some(json("{}")), ..went_on(ids[0], 2) };
        let batch = [told, ended(ids[1], 2), started(node.definition), keyed(node.definition, "k", "{}")];
        proxy.next(fault);
        assert_eq!(node.lane.commit(&batch).await.unwrap(), vec![Written::Accepted; 4], "{fault:?}");
        assert!(proxy.is_spent());
        assert_eq!(count(&node, "journal").await, 6);
        assert_eq!(count(&node, "outbox").await, 1);
        assert_eq!(count(&node, "saga_done").await, 1);
        assert_eq!(count(&node, "saga").await, 3);
    }
}

#[tokio::test]
async fn a_batch_is_kept_while_the_database_is_gone() {
    let (mut node, proxy) = behind_a_proxy().await;
    let id = node.started(1).await[0];
    proxy.next(Fault::Refuse);
    let batch = [went_on(id, 2)];
    for _ in 0..2 {
        assert!(matches!(node.lane.commit(&batch).await, Err(Error::Unavailable(_))));
        assert!(matches!(node.lane.claim(Sources::ALL, 1, &[node.definition]).await, Err(Error::Unavailable(_))));
    }
    proxy.next(Fault::None);
    assert_eq!(node.lane.commit(&batch).await.unwrap(), [Written::Accepted]);
    assert_eq!(count(&node, "journal").await, 2);
}

#[tokio::test]
async fn a_lane_that_died_while_the_answer_was_lost_is_fenced() {
    let (mut node, proxy) = behind_a_proxy().await;
    let id = node.started(1).await[0];
    proxy.next(Fault::Refuse);
    let batch = [went_on(id, 2)];
    assert!(node.lane.commit(&batch).await.is_err());
    node.store.leave(node.id).await.unwrap();
    proxy.next(Fault::None);
    assert!(matches!(node.lane.commit(&batch).await, Err(Error::Fenced)));
    assert_eq!(count(&node, "journal").await, 1);
}

#[tokio::test]
async fn a_dropped_commit_is_resolved_by_the_next() {
    let mut node = Node::new().await;
    let ids = node.started(20).await;
    for (step, wait) in [0u64, 1, 2, 3, 5, 8].into_iter().enumerate() {
        let seq = i32::try_from(step).unwrap() + 2;
        let batch: Vec<Transition> = ids.iter().map(|id| went_on(*id, seq)).collect();
        let dropped = tokio::time::timeout(Duration::from_micros(wait * 300), node.lane.commit(&batch)).await;
        drop(dropped);
        assert_eq!(node.lane.commit(&batch).await.unwrap(), vec![Written::Accepted; 20]);
    }
    assert_eq!(count(&node, "journal").await, 20 * 7);
}

#[tokio::test]
async fn sagas_of_a_claim_whose_answer_is_lost_are_found_by_the_next() {
    let (mut node, proxy) = behind_a_proxy().await;
    let id = node.store.start("checkout", &json("{}"), None).await.unwrap();
    node.store.signal(id, &Request::Touch).await.unwrap();
    assert!(node.lane.owned().await.unwrap().is_empty());
    proxy.next(Fault::LoseAnswer);
    assert!(matches!(node.lane.claim(Sources::ALL, 10, &[node.definition]).await, Err(Error::Unavailable(_))));
    let found = node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas;
    assert!(found.len() == 1 && found[0].id == id && !found[0].adopted, "{found:?}");
    assert_eq!((found[0].signals, node.store.journal(id).await.unwrap().len()), (1, 1));
    assert!(node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas.is_empty());
}

#[tokio::test]
async fn parking_whose_answer_is_lost_says_what_was_let_go() {
    for (fault, gone) in [(Fault::LoseAnswer, true), (Fault::LoseRequest, false)] {
        let (mut node, proxy) = behind_a_proxy().await;
        let id = node.started(1).await[0];
        proxy.next(fault);
        let parked = node.lane.park(&[Parking { id, signals_seen: 0, wake_at: None }]).await.unwrap();
        assert_eq!(parked, if gone { vec![id] } else { vec![] }, "{fault:?}");
    }
}

#[tokio::test]
async fn the_pool_gets_over_a_lost_connection() {
    let node = Node::new().await;
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity \
                where application_name = 'amends' and datname = current_database()";
    for _ in 0..3 {
        node.database.client().await.query(kill, &[]).await.unwrap();
        node.store.beat(node.id, 0, None, None).await.unwrap();
    }
}

/// What was acknowledged survives a crash of a server that flushes; what was not is resolved by the same
/// call.
#[tokio::test]
async fn acknowledged_rows_survive_a_crash_and_a_promotion_fences() {
    let cluster = Cluster::start("crash", true);
    cluster.ready().await;
    let config = PostgresConfig::parse(&cluster.url("postgres")).unwrap();
    let store = Store::connect(config.clone()).await.unwrap();
    store.migrate().await.unwrap();
    let definition =
        store.put_definition("digest", "checkout", "{}", &amends::store::AtStart::default()).await.unwrap();
    let node = store.join("one", "test", 60_000).await.unwrap();
    let mut lane = Lane::open(&config, node).await.unwrap();
    let row = started(definition);
    let id = row.id;
    lane.commit(&[row]).await.unwrap();
    let mut seq = 1;
    for _ in 0..2 {
        for _ in 0..50 {
            seq += 1;
            assert_eq!(lane.commit(&[went_on(id, seq)]).await.unwrap(), [Written::Accepted]);
        }
        cluster.crash();
        seq += 1;
        assert!(matches!(lane.commit(&[went_on(id, seq)]).await, Err(Error::Unavailable(_))));
        cluster.run(&[]);
        let mut written = Vec::new();
        eventually("the same batch gets through", async || match lane.commit(&[went_on(id, seq)]).await {
            Ok(answer) => {
                written = answer;
                true
            }
            Err(Error::Unavailable(_)) => false,
            Err(error) => panic!("{error}"),
        })
        .await;
        assert_eq!(written, [Written::Accepted]);
        let seqs: Vec<i32> = store.journal(id).await.unwrap().iter().map(|row| row.seq).collect();
        assert_eq!(seqs, (1..=seq).collect::<Vec<_>>());
    }
    // A server that comes back on another timeline may lack what was acknowledged.
    cluster.crash();
    cluster.touch("recovery.signal");
    cluster.run(&["restore_command=false"]);
    cluster.ready().await;
    let mut answer = Ok(Vec::new());
    eventually("the lane finds a promoted server", async || {
        answer = lane.commit(&[went_on(id, seq + 1)]).await;
        !matches!(answer, Err(Error::Unavailable(_)))
    })
    .await;
    assert!(matches!(answer, Err(Error::Fenced)), "{answer:?}");
    assert!(Lane::open(&config, node).await.is_ok());
}
