//! Fencing: dead lanes, zombies, and nodes that were only slow.

use amends::store::{Error, Lane, Parking, Peers, Sources, Swept, Written};

use super::{Node, ended, started, waiting, went_on};
use crate::harness::eventually;

async fn rows(node: &Node) -> i64 {
    let sql = "select count(*) from amends.journal";
    node.database.client().await.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_zombie_writes_nothing_and_its_sagas_go_on_elsewhere() {
    let mut zombie = Node::new().await;
    let ids = zombie.started(3).await;
    let mut node = Node::on_same(&zombie, "two").await;
    node.steady().await;
    zombie.age(9_000).await;
    let swept = node.store.sweep(node.id).await.unwrap();
    assert_eq!(swept, Swept { lanes: 1, sagas: 3, ..Swept::default() });
    let before = rows(&node).await;
    for _ in 0..2 {
        let batch = [went_on(ids[0], 2), started(node.definition)];
        assert!(matches!(zombie.lane.commit(&batch).await, Err(Error::Fenced)));
        assert!(matches!(zombie.lane.claim(Sources::ALL, 10, &[node.definition]).await, Err(Error::Fenced)));
        let parking = Parking { id: ids[0], signals_seen: 0, wake_at: None };
        assert!(zombie.lane.park(&[parking]).await.unwrap().is_empty());
        assert!(zombie.lane.release(&ids).await.unwrap().is_empty());
        assert!(matches!(zombie.store.beat(zombie.id, 0, None, None).await, Err(Error::Fenced)));
        assert!(matches!(Lane::open(&zombie.database.config(), zombie.id).await, Err(Error::Fenced)));
        if node.claim_all().await.is_empty() {
            break;
        }
    }
    assert_eq!(rows(&node).await, before);
    assert_eq!(node.lane.commit(&[went_on(ids[0], 2)]).await.unwrap(), [Written::Accepted]);
}

#[tokio::test]
async fn a_beat_counts_the_nodes_in_service_that_claim_the_same() {
    let node = Node::new().await;
    let store = &node.store;
    let mut nodes = Vec::new();
    for (name, claims) in [("one", Some(7)), ("two", Some(7)), ("other", Some(8)), ("none", None), ("three", Some(7))] {
        let id = store.join(name, "test", 8_000).await.unwrap();
        store.beat(id, 0, None, claims).await.unwrap();
        nodes.push(id);
    }
    let peers = async |index: usize, claims| {
        let Peers { earlier, later } = store.beat(nodes[index], 0, None, claims).await.unwrap().peers;
        (earlier, later)
    };
    assert_eq!((peers(0, Some(7)).await, peers(1, Some(7)).await, peers(4, Some(7)).await), ((0, 2), (1, 1), (2, 0)));
    assert_eq!((peers(2, Some(8)).await, peers(3, None).await), ((0, 0), (0, 0)));
    // One goes, one is silent, and one claims something else from now on.
    store.leave(nodes[4]).await.unwrap();
    assert_eq!(peers(0, Some(7)).await, (0, 1));
    let silent = "update amends.node set beat_at = beat_at - interval '4 s' where id = $1";
    node.database.client().await.execute(silent, &[&nodes[1].0]).await.unwrap();
    assert_eq!(peers(0, Some(7)).await, (0, 0));
    assert_eq!((peers(0, Some(8)).await, peers(2, Some(8)).await), ((0, 1), (1, 0)));
}

#[tokio::test]
async fn a_batch_that_waits_while_its_lane_dies_writes_nothing() {
    let mut zombie = Node::new().await;
    let id = zombie.started(1).await[0];
    let before = rows(&zombie).await;
    let mut sweeper = zombie.database.client().await;
    let transaction = sweeper.transaction().await.unwrap();
    let bury = "update amends.lane set live = false where id = $1";
    transaction.execute(bury, &[&zombie.lane.id().0]).await.unwrap();
    let observer = zombie.database.client().await;
    let batch = [went_on(id, 2)];
    let commit = zombie.lane.commit(&batch);
    let rest = async {
        eventually("the batch waits for its lane", async || waiting(&observer, "-- Writes the").await > 0).await;
        transaction.commit().await.unwrap();
    };
    let (written, ()) = tokio::join!(commit, rest);
    assert!(matches!(written, Err(Error::Fenced)), "{written:?}");
    assert_eq!(rows(&zombie).await, before);
}

/// The last row of a saga meets the sweep that takes its lane for dead, whichever comes first.
#[tokio::test]
async fn a_sweep_and_the_batch_that_ends_a_saga_exclude_each_other() {
    for batch_first in [true, false] {
        let mut owner = Node::new().await;
        let id = owner.started(1).await[0];
        let mut node = Node::on_same(&owner, "two").await;
        node.steady().await;
        owner.age(9_000).await;
        let mut blocker = node.database.client().await;
        let transaction = blocker.transaction().await.unwrap();
        // Holds up the batch when it has its lane, or the sweep when it has buried the lane and not committed.
        let hold = match batch_first {
            true => format!(
                "insert into amends.journal (id, seq, lane, at, kind, body) values ('{id}', 2, 0, now(), 'x', '{{}}')"
            ),
            false => format!("update amends.lane set live = false where id = {}", owner.lane.id().0),
        };
        transaction.batch_execute(&hold).await.unwrap();
        let observer = node.database.client().await;
        let batch = [ended(id, 2)];
        let commit = owner.lane.commit(&batch);
        let (store, sweeper) = (node.store.clone(), node.id);
        let rest = async {
            eventually("the batch waits", async || waiting(&observer, "-- Writes the").await >= 1).await;
            let sweep = tokio::spawn(async move { store.sweep(sweeper).await });
            eventually("the sweep waits, too", async || waiting(&observer, "--").await >= 2).await;
            match batch_first {
                true => transaction.rollback().await.unwrap(),
                false => transaction.commit().await.unwrap(),
            }
            sweep.await.unwrap().unwrap()
        };
        let (written, mut swept) = tokio::join!(commit, rest);
        let rest = node.store.sweep(node.id).await.unwrap();
        swept.sagas += rest.sagas;
        let done = node.store.result(id).await.unwrap().is_some();
        if batch_first {
            assert_eq!(written.unwrap(), [Written::Accepted]);
            assert!(done && swept.sagas == 0, "{swept:?}");
            assert!(node.claim_all().await.is_empty(), "what has ended is nobody's");
        } else {
            assert!(matches!(written, Err(Error::Fenced)), "{written:?}");
            assert!(!done && swept.sagas == 1, "{swept:?}");
            assert_eq!(node.claim_all().await, [id]);
            assert_eq!(node.lane.commit(&[ended(id, 2)]).await.unwrap(), [Written::Accepted]);
        }
        assert_eq!(rows(&node).await, 2);
    }
}

#[tokio::test]
async fn a_lane_that_is_missing_is_a_dead_lane() {
    let mut lost = Node::new().await;
    let ids = lost.started(2).await;
    let mut node = Node::on_same(&lost, "two").await;
    let client = node.database.client().await;
    client.execute("delete from amends.lane where id = $1", &[&lost.lane.id().0]).await.unwrap();
    assert_eq!(node.store.sweep(node.id).await.unwrap(), Swept { sagas: 2, ..Swept::default() });
    assert!(matches!(lost.lane.commit(&[went_on(ids[0], 2)]).await, Err(Error::Fenced)));
    assert_eq!(node.claim_all().await, ids);
}

#[tokio::test]
async fn a_lane_whose_node_is_missing_dies() {
    let lost = Node::new().await;
    let node = Node::on_same(&lost, "two").await;
    let client = node.database.client().await;
    client.execute("delete from amends.node where id = $1", &[&lost.id.0]).await.unwrap();
    assert_eq!(node.store.sweep(node.id).await.unwrap().lanes, 1);
}

#[tokio::test]
async fn numbers_of_nodes_and_lanes_are_never_used_again() {
    let mut first = Node::new().await;
    let id = first.started(1).await[0];
    let survivor = Node::on_same(&first, "two").await;
    first.store.leave(first.id).await.unwrap();
    assert_eq!(survivor.store.sweep(survivor.id).await.unwrap().sagas, 1);
    let client = survivor.database.client().await;
    client.batch_execute("update amends.node set gone_at = gone_at - interval '2 h'").await.unwrap();
    survivor.store.tidy().await.unwrap();
    assert!(client.query("select from amends.lane where not live", &[]).await.unwrap().is_empty());
    assert_eq!(client.query("select from amends.node", &[]).await.unwrap().len(), 1);
    // The same process comes back under the same name: another incarnation. The old one stays out.
    let mut again = Node::on_same(&survivor, "one").await;
    assert!(again.id > survivor.id && again.lane.id() > survivor.lane.id());
    assert_eq!(again.claim_all().await, [id]);
    assert!(matches!(first.lane.commit(&[went_on(id, 2)]).await, Err(Error::Fenced)));
}

#[tokio::test]
async fn lanes_with_sagas_are_not_forgotten() {
    let mut gone = Node::new().await;
    gone.started(1).await;
    gone.store.leave(gone.id).await.unwrap();
    let client = gone.database.client().await;
    client.batch_execute("update amends.node set gone_at = gone_at - interval '2 h'").await.unwrap();
    gone.store.tidy().await.unwrap();
    assert_eq!(client.query("select from amends.lane", &[]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_is_called_dead_by_a_node_that_stood_still_itself() {
    let mut slow = Node::new().await;
    let id = slow.started(1).await[0];
    let node = Node::on_same(&slow, "two").await;
    node.steady().await;
    // The database stood still for half a minute: everybody's beat is late, and both nodes live.
    node.age(30_000).await;
    slow.age(30_000).await;
    assert_eq!(node.store.sweep(node.id).await.unwrap(), Swept::default());
    node.store.beat(node.id, 0, None, None).await.unwrap();
    assert_eq!(node.store.sweep(node.id).await.unwrap(), Swept::default());
    slow.store.beat(slow.id, 0, None, None).await.unwrap();
    assert_eq!(slow.lane.commit(&[went_on(id, 2)]).await.unwrap(), [Written::Accepted]);
    // A fresh node has not seen enough either; a steady one has, but meets only live ones.
    node.steady().await;
    assert_eq!(node.store.sweep(node.id).await.unwrap(), Swept::default());
    slow.age(9_000).await;
    let fresh = Node::on_same(&node, "three").await;
    assert_eq!(fresh.store.sweep(fresh.id).await.unwrap(), Swept::default());
    assert_eq!(node.store.sweep(node.id).await.unwrap().sagas, 1);
}

#[tokio::test]
async fn a_beat_under_way_saves_a_node() {
    let slow = Node::new().await;
    let node = Node::on_same(&slow, "two").await;
    node.steady().await;
    slow.age(9_000).await;
    let mut beating = slow.database.client().await;
    let transaction = beating.transaction().await.unwrap();
    transaction.execute("update amends.node set beat_at = amends.now() where id = $1", &[&slow.id.0]).await.unwrap();
    assert_eq!(node.store.sweep(node.id).await.unwrap(), Swept::default());
    transaction.commit().await.unwrap();
    assert_eq!(node.store.sweep(node.id).await.unwrap(), Swept::default());
}

#[tokio::test]
async fn wakes_in_the_inbox_of_a_dead_lane_are_forwarded_even_late() {
    let mut dead = Node::new().await;
    let id = dead.started(1).await[0];
    let lane = dead.lane.id();
    let mut node = Node::on_same(&dead, "two").await;
    dead.store.leave(dead.id).await.unwrap();
    assert_eq!(node.store.sweep(node.id).await.unwrap().sagas, 1);
    // A forward that read the owner before the sweep, and commits after it.
    let late = "insert into amends.inbox (lane, id, definition) select $1, id, definition from amends.saga";
    node.database.client().await.execute(late, &[&lane.0]).await.unwrap();
    assert_eq!(node.claim_all().await, [id]);
    assert_eq!(node.store.sweep(node.id).await.unwrap(), Swept { wakes: 1, ..Swept::default() });
    let woken = node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas;
    assert!(woken.len() == 1 && woken[0].id == id && !woken[0].adopted);
}

#[tokio::test]
async fn two_sweepers_do_not_get_in_each_others_way() {
    let mut dead = Node::new().await;
    for _ in 0..6 {
        dead.started(400).await;
    }
    dead.store.leave(dead.id).await.unwrap();
    let node = Node::on_same(&dead, "two").await;
    let (one, two) = tokio::join!(node.store.sweep(node.id), node.store.sweep(node.id));
    let (one, two) = (one.unwrap(), two.unwrap());
    let mut sagas = one.sagas + two.sagas;
    sagas += node.store.sweep(node.id).await.unwrap().sagas;
    assert_eq!(sagas, 2_400);
    let ready = "select count(*) from amends.ready";
    assert_eq!(node.database.client().await.query_one(ready, &[]).await.unwrap().get::<_, i64>(0), 2_400);
}
