//! Timers, the safety net, partitions, and the order of locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use amends::saga::event::Request;
use amends::store::{NetCursor, Parking, Sources, Transition, Written};
use uuid::{NoContext, Timestamp, Uuid};

use super::{Node, ended, started, went_on};

/// Replaces the clock by one that a test drives.
async fn drive_clock(node: &Node, at_ms: i64) {
    let sql = format!(
        "create or replace function amends.now() returns timestamptz language sql stable \
         as 'select to_timestamp({at_ms} / 1000.0)'"
    );
    node.database.client().await.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn timers_fire_by_the_databases_clock_in_their_order() {
    let mut node = Node::new().await;
    let ids = node.started(4).await;
    drive_clock(&node, 1_000_000).await;
    assert_eq!(node.store.clock().await.unwrap(), 1_000_000);
    let parkings: Vec<Parking> = ids
        .iter()
        .zip([Some(1_000_300), Some(1_000_100), None, Some(1_000_200)])
        .map(|(id, wake_at)| Parking { id: *id, signals_seen: 0, wake_at })
        .collect();
    assert_eq!(node.lane.park(&parkings).await.unwrap().len(), 4);
    assert_eq!(node.store.saga(ids[0]).await.unwrap().unwrap().wake_at, Some(1_000_300));
    assert_eq!(node.store.saga(ids[2]).await.unwrap().unwrap().wake_at, None);
    assert_eq!(node.store.fire_timers(10).await.unwrap(), 0);
    drive_clock(&node, 1_000_250).await;
    assert_eq!(node.store.fire_timers(1).await.unwrap(), 1);
    assert_eq!(node.claim_all().await, [ids[1]]);
    assert_eq!(node.store.fire_timers(10).await.unwrap(), 1);
    assert_eq!(node.claim_all().await, [ids[3]]);
    // A saga that is parked once more has only its new time.
    let again = Parking { id: ids[1], signals_seen: 0, wake_at: Some(1_000_260) };
    assert_eq!(node.lane.park(&[again]).await.unwrap(), [ids[1]]);
    node.store.signal(ids[1], &Request::Touch).await.unwrap();
    assert_eq!(node.claim_all().await, [ids[1]]);
    drive_clock(&node, 1_000_270).await;
    assert_eq!(node.store.fire_timers(10).await.unwrap(), 0, "an owned saga has no timer");
    let again = Parking { id: ids[1], signals_seen: 1, wake_at: Some(1_000_900) };
    assert_eq!(node.lane.park(&[again]).await.unwrap(), [ids[1]]);
    drive_clock(&node, 1_000_300).await;
    assert_eq!(node.store.fire_timers(10).await.unwrap(), 1);
    assert_eq!(node.claim_all().await, [ids[0]]);
}

#[tokio::test]
async fn the_safety_net_finds_nothing_until_something_is_lost() {
    let mut node = Node::new().await;
    let ids = node.started(4).await;
    node.store.start("checkout", &super::json("1"), None).await.unwrap();
    node.lane.release(&ids[..1]).await.unwrap();
    let parkings = [(ids[1], None), (ids[2], Some(9_999_999_999_999))].map(|(id, wake_at)| Parking {
        id,
        signals_seen: 0,
        wake_at,
    });
    assert_eq!(node.lane.park(&parkings).await.unwrap().len(), 2);
    assert_eq!(node.store.safety_net(NetCursor::default()).await.unwrap().0, 0);
    let client = node.database.client().await;
    client.execute("delete from amends.timer where id = $1", &[&ids[1]]).await.unwrap();
    let (lost, cursor) = node.store.safety_net(NetCursor::default()).await.unwrap();
    assert_eq!(lost, 1);
    assert_eq!(node.store.safety_net(cursor).await.unwrap(), (0, NetCursor::default()));
    assert_eq!(node.store.safety_net(NetCursor::default()).await.unwrap().0, 0);
    assert!(node.claim_all().await.contains(&ids[1]));
}

#[tokio::test]
async fn rows_of_a_clock_far_off_lie_in_the_default_partition_until_theirs_is_made() {
    let mut node = Node::new().await;
    assert_eq!(node.store.tidy().await.unwrap(), 0);
    let ahead = 60 * 60 * 24 * 7 * 6;
    let seconds = node.store.clock().await.unwrap() / 1_000 + ahead;
    let id = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, 0));
    let row = Transition { id, ..started(node.definition) };
    assert_eq!(node.lane.commit(&[row]).await.unwrap(), [Written::Accepted]);
    assert_eq!(node.store.tidy().await.unwrap(), 1);
    drive_clock(&node, i64::try_from(seconds * 1_000).unwrap() - 1_000 * 60 * 60 * 24 * 7).await;
    assert!(node.store.ensure_partitions().await.unwrap() > 0);
    assert_eq!(node.store.tidy().await.unwrap(), 0);
    assert_eq!(node.store.journal(id).await.unwrap().len(), 1);
    assert_eq!(node.lane.commit(&[went_on(id, 2)]).await.unwrap(), [Written::Accepted]);
    assert_eq!(node.store.journal(id).await.unwrap().len(), 2);
}

#[tokio::test]
async fn partitions_are_made_while_writers_write() {
    let mut node = Node::new().await;
    let mut writer = node.database.client().await;
    let transaction = writer.transaction().await.unwrap();
    let insert = "insert into amends.journal (id, seq, lane, at, kind, body) \
                  values (amends.uuid7(), 1, 0, now(), 'x', '{}')";
    transaction.execute(insert, &[]).await.unwrap();
    let week = 1_000 * 60 * 60 * 24 * 7;
    drive_clock(&node, i64::try_from(node.store.clock().await.unwrap()).unwrap() + week).await;
    assert!(node.store.ensure_partitions().await.unwrap() > 0);
    transaction.commit().await.unwrap();
    node.started(1).await;
}

/// Everything at once on the same few sagas: whoever waits, waits in the same order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_are_taken_in_one_order() {
    let node = Node::new().await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let mut lane = node.database.lane(node.id).await;
        let (stop, definition, store) = (stop.clone(), node.definition, node.store.clone());
        tasks.push(tokio::spawn(async move {
            let mut ended_now = 0;
            while !stop.load(Ordering::Relaxed) {
                let batch: Vec<Transition> = (0..20).map(|_| started(definition)).collect();
                lane.commit(&batch).await.unwrap();
                let owned = lane.owned().await.unwrap();
                let ids: Vec<Uuid> = owned.iter().map(|saga| saga.id).collect();
                let parkings: Vec<Parking> = owned
                    .iter()
                    .step_by(3)
                    .map(|saga| Parking { id: saga.id, signals_seen: saga.signals, wake_at: Some(0) })
                    .collect();
                let gone = lane.park(&parkings).await.unwrap();
                let kept: Vec<Uuid> = ids.into_iter().filter(|id| !gone.contains(id)).collect();
                let batch: Vec<Transition> = kept.iter().rev().take(15).map(|id| ended(*id, 1_000)).collect();
                ended_now += lane.commit(&batch).await.unwrap().len();
                lane.release(&kept).await.unwrap();
                store.fire_timers(50).await.unwrap();
                lane.claim(Sources::ALL, 40, &[definition]).await.unwrap();
                store.drain_inbox(&[lane.id()]).await.unwrap();
            }
            ended_now
        }));
    }
    for _ in 0..2 {
        let (stop, store, node) = (stop.clone(), node.store.clone(), node.id);
        tasks.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                for saga in store.list(&Default::default()).await.unwrap().into_iter().take(20) {
                    store.signal(saga.id, &Request::Touch).await.ok();
                }
                store.sweep(node).await.unwrap();
            }
            1
        }));
    }
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        assert!(task.await.unwrap() > 0);
    }
    assert_eq!(super::deadlocks(&node).await, 0);
    assert_eq!(node.store.safety_net(NetCursor::default()).await.unwrap().0, 0);
}
