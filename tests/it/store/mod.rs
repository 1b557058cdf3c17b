//! The store against a real Postgres. Owns what its tests share: a node with a lane, and rows to write.

mod bucket;
mod claim;
mod commit;
mod compact;
mod early;
mod fence;
mod happy;
mod life;
mod lost;
mod measure;
mod migrate;
mod next_due;
mod plan;
mod quarantine;
mod queue;
mod retention;
mod signal;
mod start;
mod start_queue;
mod step_transaction;
mod sweep;
mod tls;
mod turn;

use std::sync::Arc;

use amends::saga::Json;
use amends::saga::state::Status;
use amends::store::{DefinitionId, End, Lane, NodeId, Sources, Start, StartKey, Store, Transition};
use uuid::Uuid;

use crate::harness::Database;

/// A node with one lane and one definition.
pub(crate) struct Node {
    pub(crate) database: Arc<Database>,
    pub(crate) store: Store,
    pub(crate) id: NodeId,
    pub(crate) lane: Lane,
    pub(crate) definition: DefinitionId,
}

impl Node {
    pub(crate) async fn new() -> Self {
        Self::on(Database::create().await).await
    }

    /// Another node on the database of this one.
    pub(crate) async fn on_same(other: &Self, name: &str) -> Self {
        Self::named(other.database.clone(), name).await
    }

    pub(crate) async fn on(database: Database) -> Self {
        Self::named(Arc::new(database), "one").await
    }

    async fn named(database: Arc<Database>, name: &str) -> Self {
        let store = database.store().await;
        let definition =
            store.put_definition("digest", "checkout", "{}", &amends::store::AtStart::default()).await.unwrap();
        store.note_plain_definitions().await.unwrap();
        let id = store.join(name, "test", 8_000).await.unwrap();
        let lane = database.lane(id).await;
        Self { database, store, id, lane, definition }
    }

    /// Starts `count` sagas owned by the lane.
    pub(crate) async fn started(&mut self, count: usize) -> Vec<Uuid> {
        let batch: Vec<Transition> = (0..count).map(|_| started(self.definition)).collect();
        let written = self.lane.commit(&batch).await.unwrap();
        assert!(written.iter().all(|written| *written == amends::store::Written::Accepted));
        let mut ids: Vec<Uuid> = batch.iter().map(|row| row.id).collect();
        ids.sort();
        ids
    }

    /// Pretends that the node's last beat, and its steady time, were `ms` earlier.
    pub(crate) async fn age(&self, ms: i64) {
        let sql = "update amends.node set beat_at = beat_at - $2 * interval '1 ms',
                   steady_since = steady_since - $2 * interval '1 ms' where id = $1";
        self.database.client().await.execute(sql, &[&self.id.0, &(ms as f64)]).await.unwrap();
    }

    /// Pretends that the node has been beating for a minute.
    pub(crate) async fn steady(&self) {
        let sql = "update amends.node set steady_since = steady_since - interval '1 min' where id = $1";
        self.database.client().await.execute(sql, &[&self.id.0]).await.unwrap();
    }

    /// Claims what there is; the ids in order.
    pub(crate) async fn claim_all(&mut self) -> Vec<Uuid> {
        let mut ids: Vec<Uuid> = self
            .lane
            .claim(Sources::ALL, 1_000, &[self.definition])
            .await
            .unwrap()
            .sagas
            .iter()
            .map(|saga| saga.id)
            .collect();
        ids.sort();
        ids
    }
}

/// Row 1 of a new saga.
pub(crate) fn started(definition: DefinitionId) -> Transition {
    Transition {
        start: Some(Start { definition, key: None }),
        ..Transition::new(Uuid::now_v7(), 1, "started", json(r#"{"started":{"at":1,"input":{}}}"#))
    }
}

/// Row 1 of a new saga with a key.
pub(crate) fn keyed(definition: DefinitionId, key: &str, input: &str) -> Transition {
    let key = Some(StartKey::new(key, json(input)).unwrap());
    Transition { start: Some(Start { definition, key }), ..started(definition) }
}

/// A row in the middle.
pub(crate) fn went_on(id: Uuid, seq: i32) -> Transition {
    Transition::new(id, seq, "attempt_ended", json(r#"{"attempt_ended":{"at":2}}"#))
}

/// The last row.
pub(crate) fn ended(id: Uuid, seq: i32) -> Transition {
    let end = End { status: Status::Completed, result: Some(json(r#"{"ok":true}"#)) };
    Transition { end: Some(end), ..went_on(id, seq) }
}

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

/// How many sessions wait for a lock with a statement that begins so.
pub(crate) async fn waiting(observer: &tokio_postgres::Client, statement: &str) -> usize {
    let sql = "select from pg_stat_activity
               where wait_event_type = 'Lock' and starts_with(query, $1) and datname = current_database()";
    observer.query(sql, &[&statement]).await.unwrap().len()
}

/// Deadlocks that the server has counted in this database.
pub(crate) async fn deadlocks(node: &Node) -> i64 {
    let client = node.database.client().await;
    // The counters of a session are sent when it has been idle for a while, at the latest when it ends.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let sql = "select deadlocks from pg_stat_database where datname = current_database()";
    client.query_one(sql, &[]).await.unwrap().get(0)
}
