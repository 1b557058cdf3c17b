//! What operators ask of many sagas, and of definitions. Owns asking; each saga decides by itself, and nodes leave
//! paused definitions alone.

use std::time::Duration;

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::statement::Sql;
use super::{Error, NodeId, Store};
use crate::saga::definition::Millis;

/// The same asked of many sagas of a definition, oldest first.
#[derive(Clone, Debug)]
pub struct Bulk {
    /// `cancel`, `abandon`, `pause`, `resume`, or `retry` of the step that is stuck.
    pub verb: String,
    /// Name of the definition.
    pub definition: String,
    /// Why; `cancel` and `abandon` need one.
    pub reason: String,
    /// Status of the sagas.
    pub status: String,
    /// Only sagas that were started before this time; none: all.
    pub started_before: Option<Millis>,
    /// Most sagas at a time, 1 to 1000.
    pub most: i32,
    /// Over which time parked sagas are woken.
    pub spread: Duration,
    /// A `retry` goes under a new key.
    pub new_key: bool,
}

impl Store {
    /// Asks the same of many sagas; returns how many were asked, 0 when none is left. [`Error::Invalid`],
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

    /// Lets no node take up a saga of this definition, for a reason; returns the number of the signal.
    /// [`Error::Invalid`], [`Error::UnknownDefinition`], [`Error::OutOfPlace`] when it is paused already.
    pub async fn pause_definition(&self, name: &str, reason: &str) -> Result<u64, Error> {
        self.told(sql!("definition", "pause"), &[&name, &reason]).await
    }

    /// Lets nodes take up sagas of this definition again; returns the number of the signal. [`Error::OutOfPlace`]
    /// when it is not paused.
    pub async fn resume_definition(&self, name: &str, reason: &str) -> Result<u64, Error> {
        self.told(sql!("definition", "resume"), &[&name, &reason]).await
    }

    /// Tells a node to take no more sagas and to hand over those that it has; returns the number of the signal.
    /// [`Error::Invalid`], [`Error::OutOfPlace`] when it is not in service or was told already.
    pub async fn drain_node(&self, node: NodeId, reason: &str) -> Result<u64, Error> {
        self.told(sql!("node", "drain"), &[&node.0, &reason]).await
    }

    /// Lets a node take sagas again; returns the number of the signal. [`Error::OutOfPlace`] when nobody has told it
    /// not to.
    pub async fn undrain_node(&self, node: NodeId, reason: &str) -> Result<u64, Error> {
        self.told(sql!("node", "undrain"), &[&node.0, &reason]).await
    }

    /// Asks that a saga be taken from the node that has it; returns the number of the signal. [`Error::Invalid`],
    /// [`Error::OutOfPlace`] when no node has it, [`Error::UnknownSaga`], [`Error::SagaEnded`].
    pub async fn evict(&self, id: Uuid, reason: &str) -> Result<u64, Error> {
        let sql = sql!("signal", "evict");
        self.asked(id, sql, &[&id, &reason]).await
    }

    /// Sends a statement that tells the fleet something, once; returns the number of the signal.
    async fn told(&self, sql: Sql, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let rows = self.query_once(sql, params).await?;
        Ok(super::millis(rows.first().map_or(Ok(0), |row| row.try_get("n"))?))
    }
}
