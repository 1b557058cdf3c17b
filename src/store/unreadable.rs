//! Sagas whose journal cannot be read: a damaged row, or one that a newer version wrote. Owns setting them
//! aside, visibly and with the reason, and taking them back; whether a journal can be read is the actors'
//! finding.

use uuid::Uuid;

use super::lane::LaneId;
use super::{Error, NodeId, Store};
use crate::config::store as limits;
use crate::saga::definition::Millis;
use crate::saga::state::Status;

/// Why a saga was set aside: by who could not read it, or by the sweep since each process died that took it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// When it was last tried.
    pub at: Millis,
    /// By which node.
    pub node: NodeId,
    /// What could not be read, or what happened to whoever read it.
    pub reason: String,
    /// Processes died of it, and nobody tries it again before it is told to resume.
    pub died: bool,
}

impl Store {
    /// Sets a saga of this lane aside: it is stuck, and any node tries it again after `UNREADABLE_RETRY_MS`,
    /// or when something is asked of it. Returns whether the lane owned it.
    pub async fn set_aside(&self, lane: LaneId, id: Uuid, reason: &str) -> Result<bool, Error> {
        let retry = super::signed(limits::UNREADABLE_RETRY_MS);
        let sql = sql!("saga", "set_aside");
        Ok(!self.query(sql, &[&lane.0, &id, &reason, &retry]).await?.is_empty())
    }

    /// Says where a saga of this lane stands that was stuck when it was claimed, now that its journal was
    /// read.
    pub async fn take_back(&self, lane: LaneId, id: Uuid, status: Status) -> Result<(), Error> {
        let sql = sql!("saga", "take_back");
        self.query(sql, &[&lane.0, &id, &status.as_str()]).await.map(|_| ())
    }

    /// Returns why a saga was set aside, if it was.
    pub async fn unreadable(&self, id: Uuid) -> Result<Option<Unreadable>, Error> {
        let rows = self.query(sql!("saga", "unreadable"), &[&id]).await?;
        let read = |row: &tokio_postgres::Row| {
            Ok(Unreadable {
                at: super::millis(row.try_get("at")?),
                node: NodeId(row.try_get("node")?),
                reason: row.try_get("reason")?,
                died: row.try_get("died")?,
            })
        };
        rows.first().map(read).transpose()
    }
}
