//! Turns: one at a time for each key, in order, whoever gives them and whatever happens at the same moment.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use amends::saga::Json;
use amends::saga::event::Request;
use amends::saga::state::Status;
use amends::store::{DefinitionId, End, Lane, Sources, Store, Transition};
use uuid::Uuid;

use super::{Node, json};
use crate::harness::eventually;

/// A node whose sagas take turns by `guest`.
async fn node() -> Node {
    let mut node = Node::new().await;
    let turns = amends::store::AtStart { concurrency: Some(vec!["guest".to_owned()]), ..Default::default() };
    node.definition = node.store.put_definition("turns", "turns", "{}", &turns).await.unwrap();
    node
}

async fn start(store: &Store, input: &str) -> Uuid {
    store.start("turns", &json(input), None).await.unwrap()
}

/// The sagas that may begin now, in order.
async fn begun(lane: &mut Lane, definition: DefinitionId) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> =
        lane.claim(Sources::ALL, 500, &[definition]).await.unwrap().sagas.into_iter().map(|saga| saga.id).collect();
    ids.sort();
    ids
}

fn end(id: Uuid) -> Transition {
    let end = End { status: Status::Completed, result: Some(Json::null()) };
    Transition { end: Some(end), ..Transition::new(id, 2, "attempt_ended", json("{}")) }
}

#[tokio::test]
async fn equal_keys_run_one_at_a_time_in_order_and_others_do_not_wait() {
    let mut node = node().await;
    let first = start(&node.store, r#"{"guest": {"a": 1, "b": 2}}"#).await;
    let second = start(&node.store, r#"{"guest": { "b":2, "a":1 }, "x": 1}"#).await;
    let number = start(&node.store, r#"{"guest": 1}"#).await;
    let same_number = start(&node.store, r#"{"guest": 1.00}"#).await;
    let text = start(&node.store, r#"{"guest": "1"}"#).await;
    let odd = start(&node.store, r#"{"guest": 1e999999}"#).await;
    let mut free = Vec::new();
    for input in [r#"{"guest": null}"#, "{}", "null", "[1]"] {
        free.push(start(&node.store, input).await);
    }
    free.sort();
    assert_eq!(begun(&mut node.lane, node.definition).await, free, "without a key nobody waits");
    let turns = node.store.give_turns(&[]).await.unwrap();
    assert_eq!((turns.answered, turns.given), (6, 4));
    assert_eq!(node.store.give_turns(&[]).await.unwrap().answered, 0);
    let mut holders = vec![first, number, text, odd];
    holders.sort();
    assert_eq!(begun(&mut node.lane, node.definition).await, holders);
    assert_eq!(node.store.saga(second).await.unwrap().unwrap().behind, Some(first));
    let waits = node.store.saga(same_number).await.unwrap().unwrap();
    assert_eq!((waits.status, waits.behind, waits.lane), (Status::Queued, Some(number), None));
    let listed = node.store.list(&amends::store::Filter::default()).await.unwrap();
    assert_eq!(listed.iter().find(|row| row.id == same_number).unwrap().behind, Some(number));
    assert!(listed.iter().filter(|row| row.id != same_number).all(|row| row.behind != Some(number)));

    // The holder keeps its turn while it is parked or stuck, and until its end is durable.
    assert_eq!(node.store.give_turns(&[number]).await.unwrap().given, 0);
    let stuck = Transition { status: Some(Status::Stuck), ..Transition::new(number, 2, "attempt_ended", json("{}")) };
    node.lane.commit(&[stuck]).await.unwrap();
    assert_eq!(node.store.give_turns(&[number]).await.unwrap().given, 0);
    node.lane.commit(&[Transition { seq: 3, ..end(number) }]).await.unwrap();
    let turns = node.store.give_turns(&[number]).await.unwrap();
    assert_eq!((turns.answered, turns.given), (0, 1));
    assert_eq!(begun(&mut node.lane, node.definition).await, [same_number]);
    assert_eq!(node.store.saga(same_number).await.unwrap().unwrap().behind, None);

    // With the last one the turn itself goes.
    node.lane.commit(&[end(same_number)]).await.unwrap();
    node.store.give_turns(&[same_number]).await.unwrap();
    let client = node.database.client().await;
    let sql = "select count(*) from amends.turn where key = '1'";
    assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn a_key_that_is_too_long_or_cannot_be_read_is_refused_and_a_start_key_still_holds() {
    let node = node().await;
    let long = format!(r#"{{"guest": "{}"}}"#, "x".repeat(600));
    for input in [long.as_str(), r#"{"a\u0000": 1, "guest": 1}"#] {
        let error = node.store.start("turns", &json(input), None).await.unwrap_err().to_string();
        assert!(error.contains("concurrency key"), "{error}");
    }
    let input = json(r#"{"guest": "ada"}"#);
    let first = node.store.start("turns", &input, Some("k")).await.unwrap();
    assert_eq!(node.store.start("turns", &input, Some("k")).await.unwrap(), first);
    let client = node.database.client().await;
    let rows = "select (select count(*) from amends.waiting), (select count(*) from amends.saga)";
    let row = client.query_one(rows, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (1, 1));
    // A start that is rolled back never was.
    client.batch_execute("begin; select amends.start('turns', '{\"guest\": \"ada\"}'); rollback").await.unwrap();
    assert_eq!(node.store.give_turns(&[]).await.unwrap().answered, 1);
}

#[tokio::test]
async fn an_open_transaction_with_a_start_holds_up_nobody_of_its_key() {
    let mut node = node().await;
    let client = node.database.client().await;
    client.batch_execute("begin; select amends.start('turns', '{\"guest\": \"ada\"}')").await.unwrap();
    let second = start(&node.store, r#"{"guest": "ada"}"#).await;
    assert_eq!(node.store.give_turns(&[]).await.unwrap().given, 1);
    assert_eq!(begun(&mut node.lane, node.definition).await, [second]);
    node.lane.commit(&[end(second)]).await.unwrap();
    assert_eq!(node.store.give_turns(&[second]).await.unwrap().given, 0);
    client.batch_execute("commit").await.unwrap();
    assert_eq!(node.store.give_turns(&[]).await.unwrap().given, 1);
}

#[tokio::test]
async fn what_is_asked_of_a_start_that_waits_wakes_nobody_else() {
    let mut node = node().await;
    let holder = start(&node.store, r#"{"guest": "ada"}"#).await;
    let waits = start(&node.store, r#"{"guest": "ada"}"#).await;
    node.store.give_turns(&[]).await.unwrap();
    assert_eq!(begun(&mut node.lane, node.definition).await, [holder]);
    node.store.signal(waits, &Request::Cancel { reason: "no".into() }).await.unwrap();
    assert!(begun(&mut node.lane, node.definition).await.is_empty(), "it is not ready");
    let asked = node.store.asked_while_waiting().await.unwrap();
    assert_eq!(asked.iter().map(|asked| asked.saga).collect::<Vec<_>>(), [waits]);
    let knocks: Vec<i64> = asked.iter().map(|asked| asked.knock).collect();
    assert_eq!(node.store.cancel_waiting(&[waits], &knocks).await.unwrap(), 1);
    assert_eq!(node.store.cancel_waiting(&[waits], &knocks).await.unwrap(), 0, "once");
    assert!(node.store.asked_while_waiting().await.unwrap().is_empty());
    let claimed = node.lane.claim(Sources::ALL, 500, &[node.definition]).await.unwrap().sagas;
    assert!(claimed[0].first.is_some() && claimed[0].signals == 1, "{claimed:?}");
    node.lane.commit(&[end(holder)]).await.unwrap();
    assert_eq!(node.store.give_turns(&[holder]).await.unwrap().given, 0, "nobody waits any more");
}

#[tokio::test]
async fn a_holder_that_ended_without_a_word_is_found_by_the_walk() {
    let mut node = node().await;
    let mut holders = Vec::new();
    for guest in 0..5 {
        let input = format!(r#"{{"guest": {guest}}}"#);
        holders.push(start(&node.store, &input).await);
        start(&node.store, &input).await;
    }
    node.store.give_turns(&[]).await.unwrap();
    holders.sort();
    assert_eq!(begun(&mut node.lane, node.definition).await, holders);
    node.lane.commit(&[end(holders[1]), end(holders[3])]).await.unwrap();
    let (mut found, cursor) = node.store.ended_holders(&Default::default()).await.unwrap();
    found.sort();
    assert_eq!(found, [holders[1], holders[3]]);
    assert!(node.store.ended_holders(&cursor).await.unwrap().0.is_empty(), "the walk starts over");
    assert_eq!(node.store.give_turns(&found).await.unwrap().given, 2);
    // What waits is safe from the net for lost sagas.
    assert_eq!(node.store.safety_net(Default::default()).await.unwrap().0, 0);
}

/// Starts, ends, cancellations and givers on several nodes at once: never two of a key, and nobody is forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn starts_ends_and_givers_race_without_doubling_or_forgetting_a_turn() {
    const KEYS: usize = 3;
    const STARTS: usize = 120;
    let mut one = node().await;
    let mut two = Node::on_same(&one, "two").await;
    let (definition, store) = (one.definition, one.store.clone());
    let keys: Arc<Mutex<HashMap<Uuid, usize>>> = Arc::default();
    let running: Arc<Mutex<HashSet<usize>>> = Arc::default();
    let mut tasks = Vec::new();
    for task in 0..4 {
        let (store, keys) = (store.clone(), keys.clone());
        tasks.push(tokio::spawn(async move {
            for n in 0..STARTS / 4 {
                let key = (task + n) % KEYS;
                let id = store.start("turns", &json(&format!(r#"{{"guest": {key}}}"#)), None).await.unwrap();
                keys.lock().unwrap().insert(id, key);
            }
        }));
    }
    let ended: Arc<Mutex<Vec<Uuid>>> = Arc::default();
    for _ in 0..3 {
        let (store, ended) = (store.clone(), ended.clone());
        tasks.push(tokio::spawn(async move {
            while ended.lock().unwrap().len() < STARTS {
                let hints = ended.lock().unwrap().clone();
                let tail = &hints[hints.len().saturating_sub(6)..];
                // A giver that finds a turn locked for too long gives up and comes again.
                let _ = store.give_turns(tail).await;
            }
        }));
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while ended.lock().unwrap().len() < STARTS {
        assert!(std::time::Instant::now() < deadline, "{} of {STARTS} ended", ended.lock().unwrap().len());
        for lane in [&mut one.lane, &mut two.lane] {
            let claimed = lane.claim(Sources::ALL, 500, &[definition]).await.unwrap().sagas;
            let mut taken = Vec::new();
            for saga in claimed {
                eventually("the start has answered", async || keys.lock().unwrap().contains_key(&saga.id)).await;
                let key = keys.lock().unwrap()[&saga.id];
                assert!(running.lock().unwrap().insert(key), "two sagas of key {key} at a time");
                taken.push((saga.id, key));
            }
            for (id, key) in taken {
                running.lock().unwrap().remove(&key);
                lane.commit(&[end(id)]).await.unwrap();
                ended.lock().unwrap().push(id);
            }
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let last = ended.lock().unwrap().clone();
    store.give_turns(&last).await.unwrap();
    let client = one.database.client().await;
    let left = "select (select count(*) from amends.turn) + (select count(*) from amends.waiting)
                       + (select count(*) from amends.knock) + (select count(*) from amends.ready)
                       + (select count(*) from amends.timer)";
    assert_eq!(client.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0, "nothing is left behind");
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(client.query_one(deadlocks, &[]).await.unwrap().get::<_, i64>(0), 0);
}
