//! Requests of operators to many sagas, to definitions and to nodes. Owns asking. Each saga decides for itself, and
//! nodes leave paused definitions alone.

use std::time::Duration;

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::statement::Sql;
use super::{Error, NodeId, Store};
use crate::saga::definition::Millis;

/// One request to many sagas of a definition, oldest first.
#[derive(Clone, Debug)]
pub struct Bulk {
    /// `cancel`, `abandon`, `pause`, `resume`, or `retry` of the stuck step.
    pub verb: String,
    /// Name of the definition.
    pub definition: String,
    /// Reason; `cancel` and `abandon` need one.
    pub reason: String,
    /// Only sagas with this status.
    pub status: String,
    /// Only sagas that were started before this time; none: all.
    pub started_before: Option<Millis>,
    /// Most sagas at a time, 1 to 1000.
    pub most: i32,
    /// Time over which the wakes of parked sagas are spread.
    pub spread: Duration,
    /// Whether a `retry` uses a new idempotency key.
    pub new_key: bool,
}

impl Store {
    /// Sends one request to many sagas; returns how many were asked, 0 if none is left. Errors: [`Error::Invalid`],
    /// [`Error::UnknownDefinition`].
    pub async fn bulk(&self, bulk: &Bulk) -> Result<u32, Error> {
        let before = bulk.started_before.map(super::signed);
        let spread = super::signed(u64::try_from(bulk.spread.as_millis()).unwrap_or(u64::MAX));
        let rows = self
            .query_once(
                sql!("signal", "bulk"),
                &[
                    &bulk.verb,
                    &bulk.definition,
                    &bulk.reason,
                    &bulk.status,
                    &before,
                    &bulk.most,
                    &spread,
                    &bulk.new_key,
                ],
            )
            .await?;
        let asked: i32 = rows.first().map_or(Ok(0), |row| row.try_get("asked"))?;
        Ok(asked.unsigned_abs())
    }

    /// Pauses a definition, so that no node takes up its sagas; returns the number of the signal. Errors:
    /// [`Error::Invalid`], [`Error::UnknownDefinition`], and [`Error::OutOfPlace`] if it is paused already.
    pub async fn pause_definition(&self, name: &str, reason: &str) -> Result<u64, Error> {
        self.told(sql!("definition", "pause"), &[&name, &reason]).await
    }

    /// Lets nodes take up sagas of a paused definition again; returns the number of the signal. [`Error::OutOfPlace`]
    /// if it is not paused.
    pub async fn resume_definition(&self, name: &str, reason: &str) -> Result<u64, Error> {
        self.told(sql!("definition", "resume"), &[&name, &reason]).await
    }

    /// Tells a node to take no more sagas and to hand over those that it has; returns the number of the signal.
    /// Errors: [`Error::Invalid`], and [`Error::OutOfPlace`] if the node is not in service or was told already.
    pub async fn drain_node(&self, node: NodeId, reason: &str) -> Result<u64, Error> {
        self.told(sql!("node", "drain"), &[&node.0, &reason]).await
    }

    /// Lets a node take sagas again; returns the number of the signal. [`Error::OutOfPlace`] if it was not told to
    /// drain.
    pub async fn undrain_node(&self, node: NodeId, reason: &str) -> Result<u64, Error> {
        self.told(sql!("node", "undrain"), &[&node.0, &reason]).await
    }

    /// Asks to take a saga from its node; returns the number of the signal. Errors: [`Error::Invalid`],
    /// [`Error::UnknownSaga`], [`Error::SagaEnded`], and [`Error::OutOfPlace`] if no node has it.
    pub async fn evict(&self, id: Uuid, reason: &str) -> Result<u64, Error> {
        let sql = sql!("signal", "evict");
        self.asked(id, sql, &[&id, &reason]).await
    }

    /// Runs a statement that tells the fleet something, once; returns the number of the signal.
    async fn told(&self, sql: Sql, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let rows = self.query_once(sql, params).await?;
        Ok(super::millis(rows.first().map_or(Ok(0), |row| row.try_get("n"))?))
    }
}
