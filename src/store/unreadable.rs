//! Sagas that were set aside: their journal cannot be read (a damaged row, or a row of a newer version), or processes
//! died of them. Owns setting aside the unreadable ones, with the reason, and taking all of them back. The actors
//! find out whether a journal can be read; the sweep sets aside sagas that kill.

use uuid::Uuid;

use super::lane::LaneId;
use super::{Error, NodeId, Store};
use crate::config::store as limits;
use crate::saga::definition::Millis;
use crate::saga::state::Status;

/// Why a saga was set aside: a node could not read it, or the sweep found that processes died of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// When it was last tried.
    pub at: Millis,
    /// The node that tried it.
    pub node: NodeId,
    /// What could not be read, or what happened to the processes that read it.
    pub reason: String,
    /// Processes died of it: no node tries it again until an operator resumes it.
    pub died: bool,
}

impl Store {
    /// Sets a saga of this lane aside: it is stuck, and any node tries it again after `UNREADABLE_RETRY_MS` or when
    /// it gets a signal. Returns whether the lane owned it.
    pub async fn set_aside(&self, lane: LaneId, id: Uuid, reason: &str) -> Result<bool, Error> {
        let retry = super::signed(limits::UNREADABLE_RETRY_MS);
        let sql = sql!("saga", "set_aside");
        Ok(!self.query(sql, &[&lane.0, &id, &reason, &retry]).await?.is_empty())
    }

    /// Sets the status of a saga that was stuck when this lane claimed it, now that its journal was read. It is no
    /// longer set aside.
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
