//! The order of the queue: by priority, and by turns among the fairness keys; at no cost for definitions without.

use std::collections::HashSet;

use amends::store::{AtStart, DefinitionId, Error, Lane, Sources, StartOptions, Store, Watermarks};
use tokio_postgres::Client;
use uuid::Uuid;

use super::{Node, json};

/// A node whose lane shares its watermarks with this test.
struct Fleet {
    node: Node,
    lane: Lane,
    watermarks: Watermarks,
    client: Client,
}

impl Fleet {
    async fn new() -> Self {
        let node = Node::new().await;
        let watermarks = Watermarks::default();
        let lane = Lane::register(&node.store, node.id, watermarks.clone()).await.unwrap();
        let client = node.database.client().await;
        Self { node, lane, watermarks, client }
    }

    fn store(&self) -> &Store {
        &self.node.store
    }

    async fn define(&self, name: &str, priority: &[&str], fairness: &[&str]) -> DefinitionId {
        let path = |words: &[&str]| (!words.is_empty()).then(|| words.iter().map(|word| (*word).to_owned()).collect());
        let at_start = AtStart { priority: path(priority), fairness: path(fairness), ..AtStart::default() };
        self.store().put_definition(name, name, "{}", &at_start).await.unwrap()
    }

    async fn start(&self, name: &str, input: &str) -> Uuid {
        self.store().start(name, &json(input), None).await.unwrap()
    }

    /// Takes the next sagas, as a node does: the virtual time is known afterwards.
    async fn take(&mut self, count: usize, definitions: &[DefinitionId]) -> HashSet<Uuid> {
        let taken = self.lane.claim(Sources::ALL, count, definitions).await.unwrap().sagas;
        self.store().raise_virtual_times(&self.watermarks).await.unwrap();
        taken.into_iter().map(|saga| saga.id).collect()
    }

    async fn count(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }
}

fn set(ids: &[Uuid]) -> HashSet<Uuid> {
    ids.iter().copied().collect()
}

#[tokio::test]
async fn one_start_of_each_fairness_key_is_taken_in_turn() {
    let mut fleet = Fleet::new().await;
    let fair = fleet.define("fair", &[], &["input", "tenant"]).await;
    let mut many = Vec::new();
    for _ in 0..50 {
        many.push(fleet.start("fair", r#"{"tenant": "many"}"#).await);
    }
    assert_eq!(fleet.take(10, &[fair]).await, set(&many[..10]));
    let few = [fleet.start("fair", r#"{"tenant": 1}"#).await, fleet.start("fair", r#"{"tenant": 1.0}"#).await];
    let none = fleet.start("fair", "{}").await;
    // One of each key, and then the second ones.
    assert_eq!(fleet.take(3, &[fair]).await, set(&[many[10], few[0], none]));
    assert_eq!(fleet.take(2, &[fair]).await, set(&[many[11], few[1]]));
    // A key that has had its share is not ahead of others for that, nor behind.
    let again = fleet.start("fair", r#"{"tenant": 1}"#).await;
    assert_eq!(fleet.take(2, &[fair]).await, set(&[many[12], again]));
    assert_eq!(fleet.take(100, &[fair]).await, set(&many[13..]));
    assert_eq!(fleet.count("select count(*) from amends.ready").await, 0);
}

#[tokio::test]
async fn high_priorities_are_taken_first_and_low_ones_last_across_definitions() {
    let mut fleet = Fleet::new().await;
    let by_input = fleet.define("by_input", &["input", "urgency"], &[]).await;
    let low = fleet.define("low", &["low"], &["principal"]).await;
    let definitions = [fleet.node.definition, by_input, low];
    // What a node learns from the first row that it takes of a definition.
    let known = [fleet.start("by_input", "{}").await, fleet.start("low", "{}").await];
    assert_eq!(fleet.take(2, &definitions).await, set(&known));
    let last = fleet.start("low", "{}").await;
    let lower = fleet.start("by_input", r#"{"urgency": "low"}"#).await;
    let odd = fleet.start("by_input", r#"{"urgency": ["high"]}"#).await;
    let plain = fleet.start("checkout", "{}").await;
    let high = fleet.start("by_input", r#"{"urgency": "high"}"#).await;
    assert_eq!(fleet.take(1, &definitions).await, set(&[high]));
    assert_eq!(fleet.take(2, &definitions).await, set(&[odd, plain]));
    assert_eq!(fleet.take(2, &definitions).await, set(&[lower, last]));
}

#[tokio::test]
async fn a_wake_comes_before_every_start() {
    let mut fleet = Fleet::new().await;
    let high = fleet.define("high", &["high"], &["principal"]).await;
    let first = fleet.start("high", "{}").await;
    assert_eq!(fleet.take(1, &[high]).await, set(&[first]));
    let second = fleet.start("high", "{}").await;
    assert_eq!(fleet.lane.release(&[first]).await.unwrap(), [first]);
    assert_eq!(fleet.take(1, &[high]).await, set(&[first]));
    assert_eq!(fleet.take(1, &[high]).await, set(&[second]));
}

#[tokio::test]
async fn principals_share_the_nodes() {
    let mut fleet = Fleet::new().await;
    let shared = fleet.define("shared", &[], &["principal"]).await;
    let mut ada = Vec::new();
    let asked = |asker| StartOptions { asker: Some(asker), ..StartOptions::default() };
    for _ in 0..20 {
        ada.push(fleet.store().start_with("shared", &json("{}"), asked("Ada over MCP")).await.unwrap());
    }
    let bob = fleet.store().start_with("shared", &json("{}"), asked("Bob over MCP")).await.unwrap();
    // Without a name, it is the session's user.
    let user = fleet.start("shared", "{}").await;
    assert_eq!(fleet.take(3, &[shared]).await, set(&[ada[0], bob, user]));
    let keys = "select count(distinct fairness) from amends.queues where priority = 'normal' and ready = 19";
    assert_eq!(fleet.count(keys).await, 1);
}

#[tokio::test]
async fn starts_that_wait_for_their_turn_keep_their_priority() {
    let mut fleet = Fleet::new().await;
    let path = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    let at_start = AtStart {
        concurrency: path(&["room"]),
        priority: path(&["input", "urgency"]),
        fairness: path(&["input", "tenant"]),
        ..AtStart::default()
    };
    let turns = fleet.store().put_definition("turns", "turns", "{}", &at_start).await.unwrap();
    let low = fleet.start("turns", r#"{"room": 1, "urgency": "low", "tenant": "a"}"#).await;
    let normal = fleet.start("turns", r#"{"room": 2, "tenant": "a"}"#).await;
    let high = fleet.start("turns", r#"{"room": 3, "urgency": "high", "tenant": "a"}"#).await;
    assert_eq!(fleet.store().give_turns(&[]).await.unwrap().given, 3);
    for one in [high, normal, low] {
        assert_eq!(fleet.take(1, &[turns]).await, set(&[one]));
    }
}

#[tokio::test]
async fn a_fairness_key_at_its_quota_starts_no_more_until_a_saga_has_ended() {
    let mut fleet = Fleet::new().await;
    let fairness = Some(vec!["input".to_owned(), "tenant".to_owned()]);
    let at_start = AtStart { fairness, quota_live: Some(2), quota_bytes: Some(60), ..AtStart::default() };
    let limited = fleet.store().put_definition("limited", "limited", "{}", &at_start).await.unwrap();
    let start = async |store: &Store, input: &str, key| store.start("limited", &json(input), key).await;
    let store = fleet.store().clone();
    let first = start(&store, r#"{"tenant": "a"}"#, Some("k")).await.unwrap();
    start(&store, r#"{"tenant": "a"}"#, None).await.unwrap();
    let refused = start(&store, r#"{"tenant": "a"}"#, Some("l")).await.unwrap_err();
    let text = "expected at most 2 live sagas of limited for the fairness key '\"a\"', found 2";
    assert!(matches!(&refused, Error::QuotaExceeded(message) if message.starts_with(text)), "{refused}");
    // A repeat is no new saga, and a start that was refused has used no key.
    assert_eq!(start(&store, r#"{"tenant": "a"}"#, Some("k")).await.unwrap(), first);
    let (used, keys) = ("select count(*) from amends.quota_use", "select count(*) from amends.start_key");
    assert_eq!((fleet.count(used).await, fleet.count(keys).await), (2, 1));
    // Others have their own quota, of bytes too.
    start(&store, r#"{"tenant": "b"}"#, None).await.unwrap();
    let long = format!(r#"{{"tenant": "b", "note": "{}"}}"#, "x".repeat(40));
    let refused = start(&store, &long, None).await.unwrap_err();
    assert!(matches!(&refused, Error::QuotaExceeded(message) if message.contains("60 bytes of input")), "{refused}");
    assert_eq!(fleet.take(3, &[limited]).await.len(), 3);
    assert!(start(&store, r#"{"tenant": "a"}"#, None).await.is_err(), "it counts while it runs");
    fleet.lane.commit(&[super::ended(first, 2)]).await.unwrap();
    let third = start(&store, r#"{"tenant": "a"}"#, Some("l")).await.unwrap();
    assert_ne!(third, first);
    assert!(start(&store, r#"{"tenant": "a"}"#, None).await.is_err());
    // Those that have ended are forgotten, also if their key starts no more.
    fleet.take(1, &[limited]).await;
    fleet.lane.commit(&[super::ended(third, 2)]).await.unwrap();
    store.tidy().await.unwrap();
    assert_eq!(fleet.count(used).await, 2);
}

#[tokio::test]
async fn definitions_without_priority_and_fairness_have_no_rows_for_it() {
    let mut fleet = Fleet::new().await;
    for _ in 0..3 {
        fleet.start("checkout", r#"{"tenant": 1, "urgency": "high"}"#).await;
    }
    assert_eq!(fleet.count("select count(*) from amends.ready where fairness is not null or n > 1000").await, 0);
    let definition = fleet.node.definition;
    assert_eq!(fleet.take(3, &[definition]).await.len(), 3);
    assert_eq!(fleet.count("select count(*) from amends.virtual_time").await, 0);
    assert_eq!(fleet.count("select pg_relation_size('amends.ready_fairness') / 8192").await, 1, "its meta page");
}

/// Whatever the input is, a start has a place in the queue.
#[tokio::test]
async fn odd_inputs_have_a_place_in_the_queue() {
    let mut fleet = Fleet::new().await;
    let fair = fleet.define("fair", &["input", "v"], &["input", "v"]).await;
    let long = format!("\"{}\"", "x".repeat(600));
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let odd =
        ["null", "1e400", r#""\u0000""#, r#""\ud800""#, "{\"high\":1}", "[]", &long, &deep, "\"high\"", "\"\"", "1.50"];
    let mut started = Vec::new();
    for value in odd {
        started.push(fleet.start("fair", &format!("{{\"v\": {value}}}")).await);
    }
    started.push(fleet.start("fair", "[1]").await);
    started.push(fleet.start("fair", "7").await);
    assert_eq!(fleet.take(100, &[fair]).await, set(&started));
}

/// Numbers that starts at the same time get are unique, and each start is taken once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_at_the_same_time_are_taken_once_each() {
    let mut fleet = Fleet::new().await;
    let fair = fleet.define("fair", &[], &["input", "tenant"]).await;
    let mut starting = Vec::new();
    for tenant in 0..6 {
        let store = fleet.store().clone();
        starting.push(tokio::spawn(async move {
            let mut started = Vec::new();
            for _ in 0..40 {
                let input = json(&format!(r#"{{"tenant": {}}}"#, tenant % 3));
                started.push(store.start("fair", &input, None).await.unwrap());
            }
            started
        }));
    }
    let (mut taken, mut started) = (HashSet::new(), HashSet::new());
    while starting.iter().any(|one| !one.is_finished()) {
        for id in fleet.take(7, &[fair]).await {
            assert!(taken.insert(id), "{id} was taken twice");
        }
    }
    for one in starting {
        started.extend(one.await.unwrap());
    }
    // Rows that became visible out of order are found when the watermarks are ignored, once a second.
    crate::harness::eventually("all are taken", async || {
        let more = fleet.lane.claim(Sources::ALL, 100, &[fair]).await.unwrap().sagas;
        for saga in more {
            assert!(taken.insert(saga.id), "{} was taken twice", saga.id);
        }
        taken.len() == started.len()
    })
    .await;
    assert_eq!(taken, started);
}
