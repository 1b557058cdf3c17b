//! Claims: what the planner and the snapshot could do to them.

use std::collections::HashSet;
use std::sync::Arc;

use amends::saga::event::Request;
use amends::store::{Sources, Written};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Node, json, waiting, went_on};
use crate::harness::{Database, eventually};

async fn start(node: &Node, count: i32) {
    node.database
        .client()
        .await
        .execute("select amends.start('checkout', '{}') from generate_series(1, $1)", &[&count])
        .await
        .unwrap();
}

#[tokio::test]
async fn takes_no_more_than_its_limit_under_any_plan() {
    let node = Node::new().await;
    start(&node, 300).await;
    for settings in [
        "enable_hashjoin = off; enable_mergejoin = off; enable_material = off; enable_memoize = off",
        "enable_nestloop = off; enable_indexscan = off; enable_bitmapscan = off",
    ] {
        let admin = node.database.client().await;
        for setting in settings.split(';') {
            let name = &node.database.name;
            admin.batch_execute(&format!("alter database {name} set {setting}")).await.unwrap();
        }
        let mut lane = node.database.lane(node.id).await;
        for limit in [1, 7] {
            assert_eq!(
                lane.claim(Sources::ALL, limit, &[node.definition]).await.unwrap().sagas.len(),
                limit,
                "{settings}"
            );
        }
    }
    let left = node.database.client().await.query_one("select count(*) from amends.start_queue", &[]).await.unwrap();
    assert_eq!(left.get::<_, i64>(0), 300 - 16);
}

#[tokio::test]
async fn fifty_claimers_get_each_saga_once() {
    let node = Node::new().await;
    start(&node, 2_000).await;
    let claimed: Arc<Mutex<Vec<Uuid>>> = Arc::default();
    let mut tasks = Vec::new();
    for _ in 0..50 {
        let mut lane = node.database.lane(node.id).await;
        let (claimed, definition) = (claimed.clone(), node.definition);
        tasks.push(tokio::spawn(async move {
            loop {
                let ids: Vec<Uuid> = lane
                    .claim(Sources::ALL, 16, &[definition])
                    .await
                    .unwrap()
                    .sagas
                    .iter()
                    .map(|saga| saga.id)
                    .collect();
                let mut claimed = claimed.lock().await;
                claimed.extend(ids);
                if claimed.len() >= 2_000 {
                    break;
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let claimed = claimed.lock().await;
    assert_eq!((claimed.len(), claimed.iter().collect::<HashSet<_>>().len()), (2_000, 2_000));
    let rows = "select count(*) from amends.journal where seq = 1";
    assert_eq!(node.database.client().await.query_one(rows, &[]).await.unwrap().get::<_, i64>(0), 2_000);
}

/// Lets a claim take its snapshot and then stand still, at its own lane's row; does something; lets it go on.
async fn claim_with_an_old_snapshot<F: Future<Output = ()>>(
    claimer: &mut Node,
    meanwhile: F,
) -> Vec<amends::store::Claimed> {
    let mut blocker = claimer.database.client().await;
    let transaction = blocker.transaction().await.unwrap();
    let lane = claimer.lane.id().0;
    transaction.execute("select from amends.lane where id = $1 for update", &[&lane]).await.unwrap();
    let definition = claimer.definition;
    let observer = claimer.database.client().await;
    let claim = claimer.lane.claim(Sources::ALL, 10, std::slice::from_ref(&definition));
    let rest = async {
        eventually("the claim waits for its lane", async || waiting(&observer, "-- Claims up").await > 0).await;
        meanwhile.await;
        transaction.commit().await.unwrap();
    };
    let (claimed, ()) = tokio::join!(claim, rest);
    claimed.unwrap().sagas
}

#[tokio::test]
async fn forwards_a_wake_of_a_saga_that_got_an_owner_after_the_snapshot() {
    let mut node = Node::new().await;
    let mut other = Node::on_same(&node, "two").await;
    let id = node.started(1).await[0];
    assert_eq!(node.lane.release(&[id]).await.unwrap(), [id]);
    // Two wakes; the other lane takes the saga by the first, behind the back of the claim that is to meet the
    // second.
    let client = node.database.client().await;
    let wake = "insert into amends.ready (definition, id) select definition, id from amends.saga";
    client.execute(wake, &[]).await.unwrap();
    let other_lane = other.lane.id();
    let definition = other.definition;
    let claimed = claim_with_an_old_snapshot(&mut node, async {
        let mut taken = Vec::new();
        while taken.is_empty() {
            taken = other.lane.claim(Sources::ALL, 1, &[definition]).await.unwrap().sagas;
        }
        assert!(taken[0].adopted);
    })
    .await;
    assert!(claimed.is_empty(), "{claimed:?}");
    assert_eq!(node.store.drain_inbox(&[other_lane]).await.unwrap(), [id]);
    assert_eq!(node.store.saga(id).await.unwrap().unwrap().lane, Some(other_lane));
}

#[tokio::test]
async fn loads_in_a_later_statement_what_the_owner_before_wrote_after_the_snapshot() {
    let mut node = Node::new().await;
    let mut owner = Node::on_same(&node, "two").await;
    let id = owner.started(1).await[0];
    let client = node.database.client().await;
    let wake = "insert into amends.ready (definition, id) select definition, id from amends.saga";
    client.execute(wake, &[]).await.unwrap();
    let claimed = claim_with_an_old_snapshot(&mut node, async {
        assert_eq!(owner.lane.commit(&[went_on(id, 2)]).await.unwrap(), [Written::Accepted]);
        assert_eq!(owner.lane.release(&[id]).await.unwrap(), [id]);
    })
    .await;
    assert!(claimed.len() == 1 && claimed[0].adopted, "{claimed:?}");
    assert_eq!(node.store.load(&[id]).await.unwrap()[&id].len(), 2);
}

#[tokio::test]
async fn waits_for_nobody_and_leaves_what_is_locked() {
    let mut node = Node::new().await;
    let mut ids = node.started(2).await;
    node.lane.release(&ids).await.unwrap();
    let mut application = node.database.client().await;
    let transaction = application.transaction().await.unwrap();
    transaction.execute("select amends.request($1, '\"touch\"')", &[&ids[0]]).await.unwrap();
    assert_eq!(node.claim_all().await, [ids[1]]);
    transaction.rollback().await.unwrap();
    assert_eq!(node.claim_all().await, [ids[0]]);
    ids.clear();
}

#[tokio::test]
async fn passes_by_what_another_claim_is_taking() {
    let mut node = Node::new().await;
    start(&node, 10).await;
    let mut other = node.database.client().await;
    let transaction = other.transaction().await.unwrap();
    let taken =
        transaction.query("select id from amends.start_queue order by n limit 5 for update", &[]).await.unwrap();
    let claimed = node.lane.claim(Sources::ALL, 5, &[node.definition]).await.unwrap().sagas;
    assert_eq!(claimed.len(), 5);
    assert!(taken.iter().all(|row| claimed.iter().all(|saga| saga.id != row.get::<_, Uuid>(0))));
    transaction.rollback().await.unwrap();
}

#[tokio::test]
async fn drops_wakes_of_ended_sagas() {
    let mut node = Node::new().await;
    let id = node.started(1).await[0];
    node.store.signal(id, &Request::Touch).await.unwrap();
    let client = node.database.client().await;
    client
        .execute("insert into amends.ready (definition, id) select definition, id from amends.saga", &[])
        .await
        .unwrap();
    node.lane.commit(&[super::ended(id, 2)]).await.unwrap();
    assert!(node.claim_all().await.is_empty());
    assert!(client.query("select from amends.ready", &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn takes_only_definitions_that_it_can_run_and_lets_none_starve() {
    let mut node = Node::new().await;
    start(&node, 50).await;
    let other =
        node.store.put_definition("digest two", "other", "{}", &amends::store::AtStart::default()).await.unwrap();
    let id = node.store.start("other", &json("1"), None).await.unwrap();
    assert_eq!(
        node.lane.claim(Sources::ALL, 10, &[other]).await.unwrap().sagas.iter().map(|saga| saga.id).collect::<Vec<_>>(),
        [id]
    );
    let id = node.store.start("other", &json("1"), None).await.unwrap();
    for _ in 0..20 {
        node.store.start("other", &json("1"), None).await.unwrap();
    }
    let mut seen = HashSet::new();
    for _ in 0..2 {
        let claimed = node.lane.claim(Sources::ALL, 10, &[node.definition, other]).await.unwrap().sagas;
        assert_eq!(claimed.len(), 10, "the limit is one for all definitions");
        seen.extend(claimed.iter().map(|saga| saga.id));
    }
    assert!(seen.contains(&id), "the second definition has its turn");
}

#[tokio::test]
async fn finds_rows_behind_its_watermark() {
    let node = Node::new().await;
    let mut lane = node.database.lane(node.id).await;
    let mut late = node.database.client().await;
    let transaction = late.transaction().await.unwrap();
    transaction.execute("select amends.start('checkout', '{}')", &[]).await.unwrap();
    start(&node, 6_000).await;
    while !lane.claim(Sources::ALL, 500, &[node.definition]).await.unwrap().sagas.is_empty() {}
    transaction.commit().await.unwrap();
    eventually("the late start is claimed", async || {
        !lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_payload_is_carried_as_it_was_written() {
    let mut node = Node::on(Database::create().await).await;
    let input = r#"{"a\u0000b": "'; drop table amends.saga; --", "n": 1e999999, "d": [[[[]]]], "😀": "\ud83d\ude00"}"#;
    let id = node.store.start("checkout", &json(input), None).await.unwrap();
    assert_eq!(node.claim_all().await, [id]);
    let journal = node.store.journal(id).await.unwrap();
    let expected = format!("\"input\":{input},\"by\":\"postgres\"}}}}");
    assert!(journal[0].body.ends_with(&expected), "{}", journal[0].body);
}
